"""Graph data sets of PyTorch Geometric; the library reads the files, and is not needed later."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError
from erasure.core.geometric_import import geometric
from erasure.data.pools.graphs import GraphPool, pointers
from erasure.data.pools.labelled import NOWHERE, TEST, TRAIN, VAL
from erasure.data.pools.nodes import NodePool
from erasure.data.sources.fetching import fetching
from erasure.data.sources.files import reading
from erasure.data.sources.graphs.files import (
    download,
    packed_graphs,
    present,
    refuse_foreign,
    unzipped,
)
from erasure.data.sources.prepared import Prepared, prepared

CITATIONS = ("Cora", "CiteSeer", "PubMed")
PARTS = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")


@dataclass(frozen=True, kw_only=True)
class TUGraphs:
    """A collection of the TU Dortmund benchmark, such as MUTAG, PROTEINS or ENZYMES.

    Files placed by hand belong into ``<data.root>/<name>/raw``. There are no checksums for them.
    Node labels are one-hot features; where there are none, a node's feature is the logarithm of
    one plus its degree. Loops are removed.

    Args:
        name: Name of the collection.
        node_attributes: Also use the numbers that some collections have about nodes.
        edge_features: Use the labels of edges, as one-hot features, where there are any.
        class_names: Names in the order of the labels; empty for the labels themselves.

    References:
        C. Morris et al., "TUDataset: A collection of benchmark datasets for learning with
        graphs", 2020, arXiv:2007.08663.
    """

    name: str
    node_attributes: bool = False
    edge_features: bool = False
    class_names: Sequence[str] = ()

    def __call__(self, data_config: DataConfig) -> GraphPool:
        """Return the graphs."""
        folder = data_config.root / self.name / "raw"
        needed = [f"{self.name}_{part}.txt" for part in ("A", "graph_indicator", "graph_labels")]

        def fetch(partial: Path) -> None:
            url = geometric("datasets").TUDataset.url
            unzipped(download(f"{url}/{self.name}.zip", partial))

        def make() -> Prepared:
            with reading(folder / needed[0]):
                return _tu_graphs(self, folder)

        with fetching(self.name, "the TU Dortmund benchmark", folder, f"{self.name}_*.txt"):
            files = present(data_config, folder, needed, fetch)
            settings = {"files": dict(files), "node_attributes": self.node_attributes}
            entry = prepared(data_config, self.name, settings, make)
        return packed_graphs(
            data_config, entry, self.class_names, edge_features=self.edge_features
        )


@dataclass(frozen=True, kw_only=True)
class Citations:
    """Papers that cite each other: Cora, CiteSeer or PubMed; a sample is a paper.

    Files placed by hand belong into ``<data.root>/<name>/raw``. There are no checksums for them.
    Their authors distribute them as pickles; before PyTorch Geometric reads them they are
    checked to be made of arrays, sparse matrices and lists alone, so that opening them runs
    nothing.

    Args:
        name: Which graph.
        train: ``public`` trains on the 20 papers per class of the authors; ``full`` on all
            papers that are neither in their validation nor their test part.
        normalize: Divide the word counts of a paper by their sum.

    References:
        Z. Yang, W. Cohen and R. Salakhutdinov, "Revisiting Semi-Supervised Learning with Graph
        Embeddings", ICML 2016, arXiv:1603.08861; for ``full`` J. Chen, T. Ma and C. Xiao,
        "FastGCN", ICLR 2018, arXiv:1801.10247.
    """

    name: Literal["Cora", "CiteSeer", "PubMed"]
    train: Literal["public", "full"] = "full"
    normalize: bool = True

    def __post_init__(self) -> None:
        if self.name not in CITATIONS:
            raise ConfigError(f"name must be one of {', '.join(CITATIONS)}, got {self.name!r}")
        if self.train not in ("public", "full"):
            raise ConfigError(f"train must be public or full, got {self.train!r}")

    def __call__(self, data_config: DataConfig) -> NodePool:
        """Return the graph."""
        folder = data_config.root / self.name / "raw"
        names = [f"ind.{self.name.lower()}.{part}" for part in PARTS]

        def fetch(partial: Path) -> None:
            url = geometric("datasets").Planetoid.url
            for name in names:
                download(f"{url}/{name}", partial)

        def make() -> Prepared:
            # the last, test.index, is plain text
            for name in names[:-1]:
                refuse_foreign(folder / name)
            with reading(folder / names[0]):
                return _citations(folder, self.name)

        with fetching(self.name, "Planetoid", folder, ", ".join(names)):
            files = present(data_config, folder, names, fetch)
            tensors = prepared(data_config, self.name, {"files": dict(files)}, make).tensors
        x, official = tensors["x"], tensors["official"]
        if self.normalize:
            # at least one, so that a paper without words stays zero
            x = x / x.sum(dim=1, keepdim=True).clamp(min=1.0)
        if self.train == "full":
            official = torch.where(official == NOWHERE, TRAIN, official)
        return NodePool(
            x=x.to(data_config.device),
            edge_index=tensors["edge_index"].to(data_config.device),
            targets=tensors["targets"].to(data_config.device),
            class_names=tuple(str(number) for number in range(int(tensors["targets"].max()) + 1)),
            official=official.to(torch.int8),
        )


@dataclass(frozen=True, kw_only=True)
class KarateClub:
    """Friendships of 34 members of a karate club, in four communities; ships with the library.

    The features of a member are its number, one-hot. The four labelled members of the original
    experiment are no official part here: they would leave nothing to forget.

    References:
        W. Zachary, "An Information Flow Model for Conflict and Fission in Small Groups", Journal
        of Anthropological Research, 1977; communities of T. Kipf and M. Welling, 2017,
        arXiv:1609.02907.
    """

    def __call__(self, data_config: DataConfig) -> NodePool:
        """Return the graph."""
        tensors = prepared(data_config, "karate", {}, _karate).tensors
        return NodePool(
            x=tensors["x"].to(data_config.device),
            edge_index=tensors["edge_index"].to(data_config.device),
            targets=tensors["targets"].to(data_config.device),
            class_names=tuple(f"community {number}" for number in range(4)),
        )


def _tu_graphs(source: TUGraphs, folder: Path) -> Prepared:
    data, slices, sizes = geometric("io").read_tu_data(str(folder), source.name)
    if source.node_attributes and not sizes["num_node_attributes"]:
        raise ConfigError(f"node_attributes must be false, {source.name} has none")
    if data.x is None:
        counts = torch.tensor(data._num_nodes)  # where the reader keeps them
        x = torch.zeros((int(counts.sum()), 0))
    else:
        counts = slices["x"].diff()
        # the reader puts the numbers first and the one-hot labels behind them
        x = data.x if source.node_attributes else data.x[:, sizes["num_node_attributes"] :]
    node_ptr, edge_ptr = pointers(counts), slices["edge_index"]
    if not x.shape[1]:
        # edges are numbered from 0 within each graph; degrees are counted over all nodes at once
        shift = torch.repeat_interleave(node_ptr[:-1], edge_ptr.diff())
        x = geometric("utils").degree(data.edge_index[1] + shift, len(x)).log1p().unsqueeze(-1)
    # the reader numbers labels from 0; what they were called is only in the file
    labels = torch.tensor(
        [
            int(line)
            for line in (folder / f"{source.name}_graph_labels.txt")
            .read_text(encoding="utf-8")
            .split()
        ]
    )
    tensors = {"x": x.float(), "edge_index": data.edge_index, "targets": data.y}
    if sizes["num_edge_labels"]:
        tensors["edge_attr"] = data.edge_attr[:, sizes["num_edge_attributes"] :].float()
    return Prepared(
        {**tensors, "node_ptr": node_ptr, "edge_ptr": edge_ptr},
        {"class_names": [str(label) for label in labels.unique().tolist()]},
    )


def _citations(folder: Path, name: str) -> Prepared:
    data = geometric("io").read_planetoid_data(str(folder), name)
    official = torch.full((len(data.y),), NOWHERE, dtype=torch.int8)
    for mask, part in ((data.train_mask, TRAIN), (data.val_mask, VAL), (data.test_mask, TEST)):
        official[mask] = part
    tensors = {"x": data.x, "edge_index": data.edge_index, "targets": data.y.long()}
    return Prepared({**tensors, "official": official})


def _karate() -> Prepared:
    data = geometric("datasets").KarateClub()[0]
    return Prepared({"x": data.x, "edge_index": data.edge_index, "targets": data.y})
