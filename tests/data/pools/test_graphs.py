"""Graphs against PyTorch Geometric: batches, layers, and the readers of its raw files."""

import http.server
import logging
import os
import pickle
import threading
import zipfile
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from crafted_geometric import (
    PLANETOID,
    chain,
    craft,
    write_molecules,
    write_planetoid,
    write_tu,
)
from tiers import one_in_default

from erasure.config.build import build
from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, DataError
from erasure.core.geometric_import import geometric
from erasure.data.pools.graphs import GraphPool, pointers
from erasure.data.sources.graphs.files import refuse_foreign
from erasure.data.sources.graphs.geometric import Citations, KarateClub, TUGraphs
from erasure.data.sources.graphs.made import StochasticBlockModel, SyntheticGraphs
from erasure.data.sources.graphs.molecules import Molecules
from erasure.trial.task import run

Batch, Data = geometric("data").Batch, geometric("data").Data
MoleculeNet, Planetoid, TUDataset = (
    getattr(geometric("datasets"), name) for name in ("MoleculeNet", "Planetoid", "TUDataset")
)

FILES = ["mutag", "proteins", "enzymes", "bace", "bbbp", "hiv", "cora", "citeseer", "pubmed"]


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def several():
    """Graphs of 1 to 9 nodes with loops, repeated edges, and some without any edge."""
    generator = torch.Generator().manual_seed(0)
    graphs = []
    for size in torch.randint(1, 10, (25,), generator=generator).tolist():
        count = int(torch.randint(0, 3 * size, (1,), generator=generator))
        edges = torch.randint(size, (2, count), generator=generator)
        x, bonds = (
            torch.rand((size, 3), generator=generator),
            torch.rand((count, 2), generator=generator),
        )
        graphs.append(Data(x=x, edge_index=edges, edge_attr=bonds))
    return graphs


def pooled(graphs, **fields):
    return GraphPool(
        **{
            "x": torch.cat([graph.x for graph in graphs]),
            "edge_index": torch.cat([graph.edge_index for graph in graphs], dim=1),
            "edge_attr": torch.cat([graph.edge_attr for graph in graphs]),
            "node_ptr": pointers(torch.tensor([graph.num_nodes for graph in graphs])),
            "edge_ptr": pointers(torch.tensor([graph.num_edges for graph in graphs])),
            "targets": torch.arange(len(graphs)) % 2,
            "class_names": ("a", "b"),
            **fields,
        }
    )


@pytest.mark.parametrize("ids", [[0], [3, 1, 24, 7], [5, 5, 2], list(range(25))])
def test_a_batch_is_that_of_the_library_bit_for_bit(several, ids):
    expected = Batch.from_data_list([several[number] for number in ids])
    inputs = pooled(several).fetch(torch.tensor(ids))
    assert set(inputs) == {"x", "edge_index", "edge_attr", "batch", "ptr"}
    for name, value in inputs.items():
        assert value.dtype == expected[name].dtype
        assert torch.equal(value, expected[name]), name


def test_a_batch_of_nothing_is_empty(several):
    inputs = pooled(several).fetch(torch.tensor([], dtype=torch.long))
    assert [len(inputs[name]) for name in ("x", "batch", "ptr")] == [0, 0, 1]


def test_every_fact_a_model_needs_is_there(several):
    pool = pooled(several, properties={"more": 1})
    assert pool.properties == {"more": 1, "level": "graph", "num_edge_features": 2}
    assert pool.input_shape == (3,)
    assert pooled(several, edge_attr=None).properties["num_edge_features"] == 0


def test_one_edge_or_feature_makes_another_data_set(several):
    pool = pooled(several)
    moved = pool.edge_index.clone()
    moved[0, 0] = 1 - moved[0, 0].clamp(max=1)
    others = [
        pool,
        replace(pool, x=pool.x + 1),
        replace(pool, edge_index=moved),
        replace(pool, edge_attr=None),
        replace(pool, targets=1 - pool.targets),
    ]
    assert len({other.fingerprint for other in others}) == len(others)
    assert pooled(several).fingerprint == pool.fingerprint


def renumbered(graph, seed):
    order = torch.randperm(graph.num_nodes, generator=torch.Generator().manual_seed(seed))
    return Data(
        x=graph.x[order], edge_index=order.argsort()[graph.edge_index], edge_attr=graph.edge_attr
    )


def test_digests_do_not_depend_on_the_numbers_of_nodes(several):
    both = pooled([*several, *(renumbered(graph, 1) for graph in several)])
    first, second = both.digests(torch.arange(50)).split(25)
    assert torch.equal(first, second)
    assert len(first.unique()) == 25
    torch.testing.assert_close(*both.sketch(torch.arange(50)).split(25))


def test_digests_tell_features_and_edges_apart():
    def path(x, edges, bond=0.0):
        return Data(
            x=torch.tensor(x)[:, None],
            edge_index=torch.tensor(edges).T,
            edge_attr=torch.full((len(edges), 1), bond),
        )

    graphs = [
        path([0.0, 0.0, 1.0], [[0, 1], [1, 0]]),
        path([0.0, 0.0, 1.0], [[0, 2], [2, 0]]),
        path([0.0, 1.0, 1.0], [[0, 1], [1, 0]]),
        path([0.0, 0.0, 1.0], [[0, 1], [1, 0]], bond=1.0),
        path([0.0, 0.0, 1.0], [[0, 1]]),
        path([0.0, 0.0], [[0, 1], [1, 0]]),
    ]
    assert len(pooled(graphs).digests(torch.arange(6)).unique()) == 6


def test_a_sketch_of_a_graph_with_one_more_edge_is_near(several):
    pool = SyntheticGraphs(num_graphs=30, smallest=30, largest=40)(DataConfig())
    first = pool.fetch(torch.tensor([0]))
    extra = torch.tensor([[20, 25], [25, 20]])
    edges = torch.cat([first["edge_index"], extra], dim=1)
    bonds = torch.zeros(edges.shape[1], 1)
    changed = Data(x=first["x"], edge_index=edges, edge_attr=bonds)
    plain = Data(x=first["x"], edge_index=first["edge_index"], edge_attr=bonds[:-2])
    near = pooled([plain, changed]).sketch(torch.arange(2))
    far = pool.sketch(torch.arange(30))
    assert near.shape == (2, 256)
    cosine = torch.nn.functional.cosine_similarity
    assert cosine(near[:1], near[1:]) > cosine(far[:1], far[1:]).max()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"edge_ptr": torch.tensor([0, 1])}, "edges of 1 graphs for 25 graphs"),
        ({"x": torch.zeros(3, 3)}, "packed ones have 3"),
        ({"edge_attr": torch.zeros(3, 2)}, "features of 3 edges"),
        ({"targets": torch.zeros(3, dtype=torch.long)}, "targets has 3 rows for 25 inputs"),
    ],
)
def test_graphs_that_do_not_fit_are_refused(several, fields, message):
    with pytest.raises(DataError, match=message):
        pooled(several, **fields)


def test_edges_that_leave_their_graph_empty_graphs_and_gaps_are_refused(several):
    pool = pooled(several)
    with pytest.raises(DataError, match="edge_index must stay within each graph"):
        replace(pool, edge_index=pool.edge_index + 8)
    with pytest.raises(DataError, match="not finite"):
        replace(pool, x=pool.x / 0.0)
    empty = pool.node_ptr.clone()
    empty[1] = 0
    with pytest.raises(DataError, match="graph 0 has no node"):
        replace(pool, node_ptr=empty)


def data_config(folder, **settings):
    return DataConfig(root=folder, download=False, **settings)


@pytest.mark.parametrize("attributes", [False, True])
@pytest.mark.parametrize("edges", [False, True])
def test_a_collection_of_graphs_is_read_as_the_library_reads_it(tmp_path, attributes, edges):
    write_tu(tmp_path, "MUTAG", (-1, 1), attributes=True)
    source = TUGraphs(name="MUTAG", node_attributes=attributes, edge_features=edges)
    pool = source(data_config(tmp_path))
    theirs = TUDataset(str(tmp_path), "MUTAG", use_node_attr=attributes, use_edge_attr=edges)
    batch = Batch.from_data_list(list(theirs))
    inputs = pool.fetch(torch.arange(120))
    for name, value in inputs.items():
        assert torch.equal(value, batch[name]), name
    assert ("edge_attr" in inputs) == edges
    assert torch.equal(pool.targets, batch.y)
    assert pool.class_names == ("-1", "1")


def test_graphs_without_labels_of_nodes_have_their_degree(tmp_path):
    write_tu(tmp_path, "RINGS", (4, 9), node_labels=False)
    pool = TUGraphs(name="RINGS", class_names=["plain", "chord"])(data_config(tmp_path))
    first = pool.fetch(torch.tensor([0]))
    torch.testing.assert_close(first["x"], torch.full_like(first["x"], 3.0).log())
    assert pool.class_names == ("plain", "chord")


def test_what_was_prepared_is_used_until_a_file_changes(tmp_path, monkeypatch):
    write_tu(tmp_path, "MUTAG", (-1, 1))
    first = TUGraphs(name="MUTAG")(data_config(tmp_path))
    monkeypatch.setattr("torch_geometric.io.read_tu_data", None)
    assert TUGraphs(name="MUTAG")(data_config(tmp_path)).fingerprint == first.fingerprint
    monkeypatch.undo()
    write_tu(tmp_path, "MUTAG", (-1, 1), graphs=40)
    assert len(TUGraphs(name="MUTAG")(data_config(tmp_path)).targets) == 40


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"node_attributes": True}, "node_attributes must be false"),
        ({"class_names": ["one"]}, "class_names must be 2 names"),
    ],
)
def test_what_a_collection_does_not_have_is_refused(tmp_path, settings, message):
    write_tu(tmp_path, "MUTAG", (-1, 1))
    with pytest.raises(ConfigError, match=message):
        TUGraphs(name="MUTAG", **settings)(data_config(tmp_path))


def test_edges_without_labels_have_no_features(tmp_path):
    write_tu(tmp_path, "RINGS", (4, 9), node_labels=False)
    with pytest.raises(ConfigError, match="edge_features must be false"):
        TUGraphs(name="RINGS", edge_features=True)(data_config(tmp_path))


def test_a_collection_that_is_not_there_says_where_to_put_it(tmp_path):
    with pytest.raises(DataError, match=r"MUTAG_A\.txt.* missing.*put MUTAG_\*\.txt into .*raw"):
        TUGraphs(name="MUTAG")(data_config(tmp_path))


@pytest.mark.parametrize("damage", ["9999, 1\n", "x, y\n", ""])
def test_a_damaged_collection_is_one_clear_error(tmp_path, damage):
    write_tu(tmp_path, "MUTAG", (-1, 1))
    (tmp_path / "MUTAG" / "raw" / "MUTAG_A.txt").write_text(damage)
    with pytest.raises(DataError, match="MUTAG"):
        TUGraphs(name="MUTAG")(data_config(tmp_path))
    assert not list((tmp_path / "prepared").glob("MUTAG-*[!k]"))


@pytest.fixture
def readable(monkeypatch):
    monkeypatch.setattr("torch_geometric.utils.from_smiles", chain)


@pytest.mark.usefixtures("readable")
@pytest.mark.parametrize("name", ["bace", "bbbp", "hiv"])
def test_molecules_are_read_and_those_left_out_are_counted(tmp_path, name, caplog):
    write_molecules(tmp_path, name, unreadable=3, unlabelled=2)
    with caplog.at_level(logging.WARNING):
        pool = Molecules(name=name, class_names=["no", "yes"])(data_config(tmp_path))
    assert (
        "left out 3 molecules that RDKit cannot read and 2 without a label, of 60" in caplog.text
    )
    assert len(pool.targets) == 55
    line = pool.attributes["line"].values
    assert line.tolist() == list(range(5, 60))
    assert torch.equal(pool.targets, line.long() % 2)
    sizes = pool.node_ptr.diff()
    assert torch.equal(sizes, 3 + line.long() % 7 + line.long() % 2)
    assert torch.equal(pool.x[pool.node_ptr[1:] - 1, 0] == 8.0, pool.targets.bool())
    assert pool.input_shape == (9,)


@pytest.mark.usefixtures("readable")
def test_features_of_bonds_are_on_request(tmp_path):
    write_molecules(tmp_path, "bace")
    assert Molecules(name="bace")(data_config(tmp_path)).edge_attr is None
    pool = Molecules(name="bace", edge_features=True)(data_config(tmp_path))
    assert pool.properties["num_edge_features"] == 3


@pytest.mark.usefixtures("readable")
@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("a,b\nC,1\n", "has no column mol, only a, b"),
        ("mol,Class\nCC,maybe\n", "must be 0 or 1, got 'maybe'"),
        ("mol,Class\nxx,1\n", "none of the 1 molecules"),
        ("", "is empty"),
    ],
)
def test_a_damaged_table_of_molecules_is_one_clear_error(tmp_path, table, message):
    write_molecules(tmp_path, "bace")
    (tmp_path / "bace" / "raw" / "bace.csv").write_text(table)
    with pytest.raises(DataError, match=message):
        Molecules(name="bace")(data_config(tmp_path))


def test_without_rdkit_the_message_says_what_to_install(tmp_path, monkeypatch):
    def missing(smiles):
        raise ImportError("No module named 'rdkit'")

    monkeypatch.setattr("torch_geometric.utils.from_smiles", missing)
    write_molecules(tmp_path, "bace")
    with pytest.raises(DataError, match=r'pip install "erasure-unlearning\[graphs\]"'):
        Molecules(name="bace")(data_config(tmp_path))


def test_molecules_are_those_of_the_library(tmp_path):
    pytest.importorskip("rdkit")
    write_molecules(tmp_path, "bace", unreadable=0)
    pool = Molecules(name="bace", edge_features=True)(data_config(tmp_path))
    batch = Batch.from_data_list(list(MoleculeNet(str(tmp_path), "bace")))
    inputs = pool.fetch(torch.arange(60))
    assert torch.equal(inputs["x"], batch.x.float())
    assert torch.equal(inputs["edge_index"], batch.edge_index)
    assert torch.equal(inputs["edge_attr"], batch.edge_attr.float())
    assert torch.equal(pool.targets, batch.y.flatten().long())


@pytest.mark.parametrize("option", PLANETOID)
def test_a_citation_graph_is_read_as_the_library_reads_it(tmp_path, option):
    name, classes = PLANETOID[option]
    write_planetoid(tmp_path, name, classes)
    pool = Citations(name=name, train="public", normalize=False)(data_config(tmp_path))
    theirs = Planetoid(str(tmp_path), name)[0]
    assert torch.equal(pool.x, theirs.x)
    assert torch.equal(pool.edge_index, theirs.edge_index)
    assert torch.equal(pool.targets, theirs.y)
    masks = [theirs.train_mask, theirs.val_mask, theirs.test_mask]
    for part, mask in enumerate(masks):
        assert torch.equal(pool.official == part, mask)
    assert pool.num_classes == classes


def test_all_that_is_not_held_out_may_be_trained_on(tmp_path):
    write_planetoid(tmp_path, "Cora", 7)
    public, full = (
        Citations(name="Cora", train=how)(data_config(tmp_path)) for how in ("public", "full")
    )
    assert (public.official == 0).sum() == 28
    assert (full.official == 0).sum() == len(full.targets) - 500 - 80
    totals = full.x.sum(dim=1)
    torch.testing.assert_close(totals, totals.gt(0).float())


class Harmful:
    def __reduce__(self):
        return os.system, ("true",)


def test_a_pickle_that_runs_something_is_refused(tmp_path):
    write_planetoid(tmp_path, "Cora", 7)
    (tmp_path / "Cora" / "raw" / "ind.cora.x").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(DataError, match="which may do anything; it is refused"):
        Citations(name="Cora")(data_config(tmp_path))


def test_pickles_of_the_time_are_accepted(tmp_path):
    content = pickle.dumps(sp.csr_matrix(np.eye(3, dtype=np.float32)), protocol=2)
    for new, old in (
        (b"numpy._core.", b"numpy.core."),
        (b"scipy.sparse._csr", b"scipy.sparse.csr"),
    ):
        assert new in content
        content = content.replace(new, old)
    (tmp_path / "old").write_bytes(content)
    with pytest.warns(DeprecationWarning, match="csr"):
        refuse_foreign(tmp_path / "old")


@pytest.mark.parametrize("content", [b"", b"\x80\x02cut"])
def test_a_damaged_pickle_is_one_clear_error(tmp_path, content):
    write_planetoid(tmp_path, "Cora", 7)
    (tmp_path / "Cora" / "raw" / "ind.cora.graph").write_bytes(content)
    with pytest.raises(DataError, match=r"ind\.cora\.graph"):
        Citations(name="Cora")(data_config(tmp_path))


def test_the_karate_club_is_whole(tmp_path):
    pool = KarateClub()(data_config(tmp_path))
    assert pool.x.shape == (34, 34)
    assert pool.edge_index.shape == (2, 156)
    theirs = geometric("datasets").KarateClub()[0]
    assert torch.equal(pool.edge_index, theirs.edge_index)
    assert torch.equal(pool.targets, theirs.y)


@pytest.fixture
def served(tmp_path):
    """Serve a folder on this machine; yields the folder and its address."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_collection_is_downloaded_once(tmp_path, served, monkeypatch):
    folder, address = served
    write_tu(tmp_path / "made", "MUTAG", (-1, 1))
    with zipfile.ZipFile(folder / "MUTAG.zip", "w") as archive:
        for file in (tmp_path / "made" / "MUTAG" / "raw").iterdir():
            archive.write(file, f"MUTAG/{file.name}")
    monkeypatch.setattr(TUDataset, "url", address)
    root = tmp_path / "data"
    first = TUGraphs(name="MUTAG")(DataConfig(root=root))
    (folder / "MUTAG.zip").unlink()
    assert TUGraphs(name="MUTAG")(DataConfig(root=root)).fingerprint == first.fingerprint
    names = {file.name for file in (root / "MUTAG").iterdir()}
    assert names == {"raw", "raw.lock"}


@pytest.mark.parametrize("content", [b"no archive", None])
def test_a_failed_download_leaves_nothing_behind(tmp_path, served, monkeypatch, content):
    folder, address = served
    if content is not None:
        (folder / "MUTAG.zip").write_bytes(content)
    monkeypatch.setattr(TUDataset, "url", address)
    with pytest.raises(DataError, match="zip" if content else "404"):
        TUGraphs(name="MUTAG")(DataConfig(root=tmp_path))
    assert {file.name for file in (tmp_path / "MUTAG").iterdir()} == {"raw.lock"}


@pytest.mark.usefixtures("readable")
def test_molecules_and_papers_are_downloaded(tmp_path, served, monkeypatch):
    folder, address = served
    write_molecules(tmp_path / "made", "bace")
    write_planetoid(tmp_path / "made", "Cora", 7)
    for name in ("bace", "Cora"):
        for file in (tmp_path / "made" / name / "raw").iterdir():
            file.rename(folder / file.name)
    monkeypatch.setattr(MoleculeNet, "url", f"{address}/{{}}")
    monkeypatch.setattr(Planetoid, "url", address)
    assert len(Molecules(name="bace")(DataConfig(root=tmp_path)).targets) == 59
    assert Citations(name="Cora")(DataConfig(root=tmp_path)).num_classes == 7


def test_communities_have_the_edges_they_should():
    source = StochasticBlockModel(num_nodes=400, inside=0.2, across=0.05)
    pool = source(DataConfig())
    low, high = pool.edge_index
    assert (low != high).all()
    same = pool.targets[low] == pool.targets[high]
    assert same.sum() / (400 * 99) == pytest.approx(0.2, abs=0.01)
    assert (~same).sum() / (400 * 300) == pytest.approx(0.05, abs=0.005)
    assert source(DataConfig()).fingerprint == pool.fingerprint
    assert replace(source, seed=8)(DataConfig()).fingerprint != pool.fingerprint


def test_a_motif_is_planted_in_every_graph():
    pool = SyntheticGraphs(num_graphs=60, density=0.0, noise=0.0)(DataConfig())
    assert torch.equal(pool.targets, pool.attributes["motif"].values)
    undirected = pool.edge_ptr.diff() // 2
    assert torch.equal(undirected, torch.tensor([5, 6, 15])[pool.targets])
    sizes = pool.node_ptr.diff()
    assert (int(sizes.min()), int(sizes.max())) == (10, 20)


def test_labels_drawn_anew_are_a_share_of_all():
    pool = SyntheticGraphs(num_graphs=900, noise=0.3)(DataConfig())
    wrong = (pool.targets != pool.attributes["motif"].values).float().mean()
    assert wrong == pytest.approx(0.3 * 2 / 3, abs=0.05)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StochasticBlockModel(num_classes=1), "num_classes must be in"),
        (lambda: StochasticBlockModel(inside=1.5), "inside must be in"),
        (lambda: StochasticBlockModel(num_features=0), "num_features must be >= 1"),
        (lambda: StochasticBlockModel(signal=-1.0), "signal must be >= 0"),
        (lambda: SyntheticGraphs(num_graphs=2), "num_graphs must be >= 3"),
        (lambda: SyntheticGraphs(smallest=3), "smallest must be in"),
        (lambda: SyntheticGraphs(noise=-0.1), "noise must be in"),
        (lambda: Molecules(name="tox21"), "name must be one of bace, bbbp, hiv"),
        (lambda: Citations(name="cora"), "name must be one of Cora"),
        (lambda: Citations(name="Cora", train="half"), "train must be public or full"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize("option", [*FILES, "karate", "sbm", "synthetic_graphs"])
def test_every_option_builds_from_files_of_its_format(compose_config, tmp_path, option):
    craft(tmp_path, option)
    cfg = compose_config(f"dataset={option}", "evaluator=fast")
    pool = build(cfg.dataset, "dataset")(data_config(tmp_path, verify=False))
    assert len(pool.targets.unique()) == pool.num_classes
    assert cfg.model._target_.endswith("GraphNetwork")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("unlearner", "option", "how"),
    one_in_default(
        [
            ("scrub", "mutag", ()),
            ("ssd", "mutag", ()),
            ("scrub", "mutag", ("dataset.edge_features=true", "model=gat")),
            ("scrub", "cora", ("split=nodes",)),
            ("ssd", "cora", ("split=nodes", "split.unit=label")),
        ]
    ),
)
def test_a_trial_runs_on_graphs(compose_config, tmp_path, unlearner, option, how):
    craft(tmp_path / "data", option)
    fit = ("unlearner.fit.epochs=2",) if unlearner == "scrub" else ("unlearner.alpha=1.0",)
    cfg = compose_config(
        f"dataset={option}",
        f"unlearner={unlearner}",
        "trainer.fit.epochs=10",
        "split.fraction=0.25",
        "device=cpu",
        "tracking=none",
        "pictures=false",
        f"store.root={tmp_path / 'store'}",
        f"data.root={tmp_path / 'data'}",
        *fit,
        *how,
    )
    assert 0.0 <= run(cfg) <= 1.0
