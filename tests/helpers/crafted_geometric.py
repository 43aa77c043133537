"""Small graph data sets in the raw formats of TU Dortmund, MoleculeNet and Planetoid."""

import importlib.util
import pickle
from collections import defaultdict
from pathlib import Path
from unittest import mock

import numpy as np
import scipy.sparse as sp
import torch

TU = {"mutag": ("MUTAG", (-1, 1)), "proteins": ("PROTEINS", (1, 2)), "enzymes": ("ENZYMES", 6)}
MOLECULES = {
    "bace": ("bace.csv", "mol,CID,Class,Model", '{smiles},"BACE, {line}",{label},Train'),
    "bbbp": ("BBBP.csv", "num,name,p_np,smiles", '{line},"a ""name"", quoted",{label},{smiles}'),
    "hiv": ("HIV.csv", "smiles,activity,HIV_active", "{smiles},CI,{label}"),
}
PLANETOID = {"cora": ("Cora", 7), "citeseer": ("CiteSeer", 6), "pubmed": ("PubMed", 3)}
BUNDLED = ("karate", "sbm", "synthetic_graphs")


def craft(folder: Path, option: str) -> None:
    """Write below ``folder`` what ``conf/dataset/<option>.yaml`` reads; bundled data need none.

    Where RDKit is not installed, molecules are also prepared, with another reader of SMILES.
    """
    if option in TU:
        name, labels = TU[option]
        write_tu(folder, name, labels if isinstance(labels, tuple) else range(1, labels + 1))
    elif option in MOLECULES:
        write_molecules(folder, option)
        if importlib.util.find_spec("rdkit") is None:
            _prepare_molecules(folder, option)
    elif option in PLANETOID:
        write_planetoid(folder, *PLANETOID[option])
    elif option not in BUNDLED:
        raise ValueError(f"{option} is not a data set of graphs")


def write_tu(folder, name, labels, graphs=120, *, node_labels=True, attributes=False):
    """Write rings, with as many chords as the number of the class, in the files of TU Dortmund."""
    raw = folder / name / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    pairs, bonds, indicator, graph_labels = [], [], [], []
    for number in range(graphs):
        kind, size = number % len(labels), int(rng.integers(8, 14))
        first = len(indicator) + 1
        edges = {(i, (i + 1) % size) for i in range(size)} | {(0, 2 + i) for i in range(kind)}
        both = sorted(edges | {(j, i) for i, j in edges})
        pairs += [f"{first + i}, {first + j}" for i, j in both]
        bonds += [abs(i - j) % 3 for i, j in both]
        indicator += [number + 1] * size
        graph_labels.append(labels[kind])
    types = rng.integers(0, 4, len(indicator))
    files = {"A": pairs, "graph_indicator": indicator, "graph_labels": graph_labels}
    if node_labels:
        files["node_labels"] = types
        files["edge_labels"] = bonds
    if attributes:
        files["node_attributes"] = [f"{a:.3f}, {b:.3f}" for a, b in rng.random((len(types), 2))]
    for part, lines in files.items():
        (raw / f"{name}_{part}.txt").write_text("".join(f"{line}\n" for line in lines))


def write_molecules(folder, option, count=60, *, unreadable=1, unlabelled=0):
    """Write chains of carbon, those of class 1 with an oxygen at the end."""
    file, header, row = MOLECULES[option]
    place = folder / option / "raw"
    place.mkdir(parents=True, exist_ok=True)
    lines = [header]
    for line in range(count):
        label = line % 2
        smiles = "C" * (3 + line % 7) + "O" * label
        if line < unreadable:
            smiles = "not a molecule"
        empty = unreadable <= line < unreadable + unlabelled
        lines.append(row.format(smiles=smiles, line=line, label="" if empty else label))
    (place / file).write_text("\n".join(lines) + "\n")


def write_planetoid(folder, name, classes, *, train=28, others=720, tests=80, features=40):
    """Write a graph of communities as the eight pickles of Planetoid."""
    raw = folder / name / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    known = train + others
    index = known + rng.permutation(tests + (name == "CiteSeer") * 5)[:tests]
    size = int(index.max()) + 1
    labels = np.arange(size) % classes
    words = rng.random((size, features)) < 0.05
    words |= (np.arange(features) % classes == labels[:, None]) & (rng.random(words.shape) < 0.5)
    graph = defaultdict(list)
    for node in range(size):
        graph[node] = graph[node]
        kin = rng.choice(np.flatnonzero(labels == labels[node]), 2)
        for other in [*kin.tolist(), int(rng.integers(size))]:
            graph[node].append(other)
            graph[other].append(node)
    one_hot, rows = np.eye(classes, dtype=np.int32)[labels], words.astype(np.float32)
    parts = {
        "x": sp.csr_matrix(rows[:train]),
        "y": one_hot[:train],
        "allx": sp.csr_matrix(rows[:known]),
        "ally": one_hot[:known],
        "tx": sp.csr_matrix(rows[np.sort(index)]),
        "ty": one_hot[np.sort(index)],
        "graph": graph,
    }
    for part, content in parts.items():
        (raw / f"ind.{name.lower()}.{part}").write_bytes(pickle.dumps(content, protocol=2))
    lines = "".join(f"{node}\n" for node in index)
    (raw / f"ind.{name.lower()}.test.index").write_text(lines)


def chain(smiles):
    """Read SMILES without rings and branches, as ``torch_geometric.utils.from_smiles`` would."""
    from torch_geometric.data import Data

    atoms = ["C", "N", "O"]
    codes = [atoms.index(atom) + 6 for atom in smiles] if set(smiles) <= set(atoms) else []
    x = torch.zeros((len(codes), 9), dtype=torch.long)
    x[:, 0] = torch.tensor(codes)
    forward = torch.stack(
        [torch.arange(max(len(codes) - 1, 0)), torch.arange(1, max(len(codes), 1))]
    )
    edges = torch.cat([forward, forward.flip(0)], dim=1)
    return Data(x=x, edge_index=edges, edge_attr=torch.ones((edges.shape[1], 3), dtype=torch.long))


def _prepare_molecules(folder, option):
    from erasure.core.data_config import DataConfig
    from erasure.data.sources.graphs.molecules import Molecules

    with mock.patch("torch_geometric.utils.from_smiles", chain):
        Molecules(name=option)(DataConfig(root=folder))
