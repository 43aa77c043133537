"""Molecules of MoleculeNet."""

import csv
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor

from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, DataError
from erasure.core.geometric_import import geometric
from erasure.data.pools.graphs import GraphPool, pointers
from erasure.data.sources.fetching import fetching
from erasure.data.sources.files import reading
from erasure.data.sources.graphs.files import download, packed_graphs, present
from erasure.data.sources.prepared import Prepared, prepared

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Collection:
    """A table of molecules.

    Args:
        file: Name of the table.
        smiles: Column of the structure.
        label: Column of the label, 0 or 1.
    """

    file: str
    smiles: str
    label: str


MOLECULES = {
    "bace": Collection("bace.csv", "mol", "Class"),
    "bbbp": Collection("BBBP.csv", "smiles", "p_np"),
    "hiv": Collection("HIV.csv", "smiles", "HIV_active"),
}


@dataclass(frozen=True, kw_only=True)
class Molecules:
    """A collection of MoleculeNet with one label per molecule: bace, bbbp or hiv.

    Files placed by hand belong into ``<data.root>/<name>/raw``. There are no checksums for them.
    Molecules are read from SMILES by RDKit (``pip install "erasure-unlearning[graphs]"``); those
    it cannot read, and those without a label, are left out, and how many there are is said. An
    atom has the nine numbers of the Open Graph Benchmark, a bond its three. The attribute
    ``line`` is the line of the file, from 0, that a molecule is from.

    Args:
        name: Which collection.
        edge_features: Use the numbers about bonds.
        class_names: Names of the labels 0 and 1; empty for the labels themselves.

    References:
        Z. Wu et al., "MoleculeNet: A Benchmark for Molecular Machine Learning", Chemical Science
        2018, arXiv:1703.00564.
    """

    name: Literal["bace", "bbbp", "hiv"]
    edge_features: bool = False
    class_names: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.name not in MOLECULES:
            raise ConfigError(f"name must be one of {', '.join(MOLECULES)}, got {self.name!r}")

    def __call__(self, data_config: DataConfig) -> GraphPool:
        """Return the molecules."""
        folder = data_config.root / self.name / "raw"
        collection = MOLECULES[self.name]

        def fetch(partial: Path) -> None:
            url = geometric("datasets").MoleculeNet.url
            download(url.format(collection.file), partial)

        def make() -> Prepared:
            with reading(folder / collection.file):
                return _read(folder / collection.file, collection)

        with fetching(self.name, "MoleculeNet", folder, collection.file):
            files = present(data_config, folder, [collection.file], fetch)
            entry = prepared(data_config, self.name, {"files": dict(files)}, make)
        if entry.properties["unreadable"] or entry.properties["unlabelled"]:
            log.warning(
                "%s: left out %d molecules that RDKit cannot read and %d without a label, of %d",
                self.name,
                entry.properties["unreadable"],
                entry.properties["unlabelled"],
                entry.properties["lines"],
            )
        return packed_graphs(
            data_config, entry, self.class_names, edge_features=self.edge_features
        )


def _read(table: Path, collection: Collection) -> Prepared:
    """Read the molecules of ``table`` that have a structure and a label.

    Raises:
        DataError: If a column is missing, a label is not 0 or 1, nothing can be read, or RDKit is
            not installed.
    """
    structures, labels = _columns(table, collection)
    labelled = [line for line, label in enumerate(labels) if label]
    read = _reader()
    pairs = [(line, read(structures[line])) for line in labelled]
    # what RDKit cannot read comes as a graph without nodes
    kept = [(line, graph) for line, graph in pairs if graph.num_nodes]
    if not kept:
        raise DataError(f"none of the {len(labels)} molecules of {table} can be read")
    graphs = [graph for _, graph in kept]
    lines = [line for line, _ in kept]
    return Prepared(
        {
            "x": torch.cat([graph.x for graph in graphs]).float(),
            "edge_index": torch.cat([graph.edge_index for graph in graphs], dim=1),
            "edge_attr": torch.cat([graph.edge_attr for graph in graphs]).float(),
            "node_ptr": _pointers([len(graph.x) for graph in graphs]),
            "edge_ptr": _pointers([graph.edge_index.shape[1] for graph in graphs]),
            "targets": torch.tensor([_label(table, line, labels[line]) for line in lines]),
            # as numbers, of which a split can choose a range
            "line": torch.tensor(lines, dtype=torch.float64),
        },
        {
            "class_names": ["0", "1"],
            "lines": len(labels),
            "unlabelled": len(labels) - len(labelled),
            "unreadable": len(pairs) - len(kept),
        },
    )


def _columns(table: Path, collection: Collection) -> tuple[list[str], list[str]]:
    with table.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        for name in (collection.smiles, collection.label):
            if name not in (rows.fieldnames or ()):
                columns = ", ".join(rows.fieldnames or ()) or "none"
                raise DataError(f"{table} has no column {name}, only {columns}")
        # None stands where a line is too short
        pairs = [(row[collection.smiles] or "", row[collection.label] or "") for row in rows]
    return [smiles.strip() for smiles, _ in pairs], [label.strip() for _, label in pairs]


def _label(table: Path, line: int, text: str) -> int:
    if text not in ("0", "1", "0.0", "1.0"):
        raise DataError(f"{table}: the label of molecule {line} must be 0 or 1, got {text!r}")
    return int(float(text))


def _reader() -> Callable[[str], Any]:
    """Return what makes a graph of SMILES; one without nodes where it cannot."""
    from_smiles = geometric("utils").from_smiles
    try:
        # methane, to find out at once whether RDKit is there
        from_smiles("C")
    except ImportError as error:
        raise DataError(
            "molecules are read by RDKit, which is not installed: "
            'pip install "erasure-unlearning[graphs]"'
        ) from error
    return cast("Callable[[str], Any]", from_smiles)


def _pointers(sizes: Sequence[int]) -> Tensor:
    return pointers(torch.tensor(sizes))
