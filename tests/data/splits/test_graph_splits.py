"""Forgetting in one graph: what is cut, who is trained on what, and what evaluation sees."""

import logging
from dataclasses import replace

import pytest
import torch
from tiers import one_in_default
from trials import assemble

from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, DataError, ErasureError, UnsupportedError
from erasure.core.modes import evaluating
from erasure.core.protocols import PreparingSplit
from erasure.core.seeding import isolated, stream
from erasure.core.splits import View
from erasure.data.pools.nodes import NodePool
from erasure.data.pools.through import AuditedPool
from erasure.data.sources.graphs.made import StochasticBlockModel, SyntheticGraphs
from erasure.data.splits.drawn import RandomForget
from erasure.data.splits.graph import EdgeForget, NodeForget
from erasure.data.splits.prepared import prepare
from erasure.models.graph_layers import gcn_layer
from erasure.models.graphs import GraphNetwork
from erasure.training.scoring import accuracy
from erasure.trial.task import run

STAR = torch.tensor([[0, 0, 0, 1, 2, 3, 3, 4], [1, 2, 3, 0, 0, 0, 4, 3]])  # 1, 2, 3 - 0; 3 - 4


@pytest.fixture(scope="module")
def graph():
    return StochasticBlockModel(num_nodes=200, inside=0.15, across=0.01)(DataConfig())


@pytest.fixture
def star():
    x = torch.arange(1.0, 11.0).reshape(5, 2)
    return NodePool(x=x, edge_index=STAR, targets=torch.arange(5) % 2, class_names=("a", "b"))


def pairs(pool):
    """Return the edges as pairs of ids."""
    names = torch.arange(len(pool.targets)) if pool.rows is None else None
    if names is None:
        names = torch.full((len(pool.x),), -1)
        there = pool.rows >= 0
        names[pool.rows[there]] = there.nonzero().flatten()
    return sorted(map(tuple, names[pool.edge_index].T.tolist()))


def split(strategy, pool, seed=0):
    return strategy(pool, stream(seed, "split"))


def data_of(strategy, pool, seed=0):
    return prepare(strategy, pool, stream(seed, "split"))


def test_a_removed_node_takes_its_edges_and_features_along(star):
    cut = star.without_nodes(torch.tensor([0]))
    assert pairs(cut) == [(3, 4), (4, 3)]
    assert torch.equal(cut.x, star.x[1:])
    assert pairs(star) == sorted(map(tuple, STAR.T.tolist()))


def test_ids_stay_valid(star):
    cut = star.without_nodes(torch.tensor([0, 2]))
    inputs = cut.fetch(torch.tensor([4, 1, 3]))
    assert torch.equal(inputs["x"][inputs["readout"]], star.x[[4, 1, 3]])
    assert len(inputs["x"]) == 3


def test_a_removed_node_comes_back_alone_and_without_features(star):
    cut = star.without_nodes(torch.tensor([0, 2]))
    inputs = cut.fetch(torch.tensor([0, 4, 2]))
    assert inputs["x"][inputs["readout"]].tolist() == [[0.0, 0.0], [9.0, 10.0], [0.0, 0.0]]
    assert not torch.isin(inputs["edge_index"], inputs["readout"][[0, 2]]).any()


def test_nodes_can_be_removed_one_after_the_other(star):
    both = star.without_nodes(torch.tensor([0, 4]))
    assert both.without_nodes(torch.tensor([4])).fingerprint == both.fingerprint
    in_turn = star.without_nodes(torch.tensor([4])).without_nodes(torch.tensor([0]))
    assert in_turn.fingerprint == both.fingerprint


def test_without_some_edges_the_others_stay(star):
    cut = star.without_edges((STAR == 0).any(dim=0))
    assert pairs(cut) == [(3, 4), (4, 3)]
    assert torch.equal(cut.x, star.x)


def test_without_features_the_edges_stay(star):
    cut = star.without_features(torch.tensor([3]))
    assert pairs(cut) == pairs(star)
    assert cut.x[3].tolist() == [0.0, 0.0]
    assert torch.equal(cut.x[:3], star.x[:3])
    assert star.x[3].tolist() == [7.0, 8.0]


def test_every_cut_is_another_data_set(star):
    one = torch.tensor([1])
    pools = [
        star,
        star.without_nodes(one),
        star.without_features(one),
        star.without_edges((STAR == 1).any(dim=0)),
        replace(star, targets=1 - star.targets),
    ]
    assert len({pool.fingerprint for pool in pools}) == len(pools)


def test_nodes_that_no_network_tells_apart_share_a_digest(star):
    twins = replace(star, x=torch.ones(5, 2))
    hashes = twins.digests(torch.arange(5))
    assert hashes[1] == hashes[2]
    assert len(hashes.unique()) == 4
    assert len(star.digests(torch.arange(5)).unique()) == 5
    gone = twins.without_nodes(torch.tensor([0, 4])).digests(torch.arange(5))
    assert gone[1] == gone[2] == gone[3]
    assert gone[0] == gone[4] != gone[1]


def test_a_sketch_has_features_and_neighbourhood(star):
    actual = star.sketch(torch.tensor([4, 0]))
    assert actual.shape == (2, 4)
    around = star.x[1] + star.x[2] + star.x[3]
    torch.testing.assert_close(actual[1, :2], star.x[0] / star.x[0].norm())
    torch.testing.assert_close(actual[1, 2:], around / around.norm())
    gone = star.without_nodes(torch.tensor([0])).sketch(torch.tensor([0]))
    assert not gone.any()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"edge_index": STAR + 1}, r"edge_index must be in \[0, 4\]"),
        ({"x": torch.full((5, 2), float("nan"))}, "x holds features that are not finite"),
        ({"x": torch.ones(4, 2)}, "targets has 5 rows for 4 inputs"),
    ],
)
def test_a_graph_that_does_not_fit_is_refused(star, fields, message):
    with pytest.raises(DataError, match=message):
        replace(star, **fields)


def test_nodes_are_drawn_as_random_samples_are(graph):
    nodes = split(NodeForget(fraction=0.2), graph)
    random = split(RandomForget(fraction=0.2), graph)
    assert nodes.fingerprint == random.fingerprint
    assert torch.isin(split(NodeForget(fraction=0.1), graph).forget, nodes.forget).all()


@pytest.mark.parametrize(
    ("unit", "nodes", "edges"), [("label", True, True), ("feature", True, True), ("node", 0, 0)]
)
def test_what_remains_depends_on_the_unit(graph, unit, nodes, edges):
    strategy = NodeForget(unit=unit, fraction=0.2)
    indices = split(strategy, graph)
    view = data_of(strategy, graph).retain
    assert isinstance(strategy, PreparingSplit)
    assert torch.equal(view.index, indices.retain)
    assert torch.equal(view.targets, graph.targets[indices.retain])
    left = view.pool
    assert (len(left.x) == 200) == bool(nodes)
    assert (left.edge_index.shape == graph.edge_index.shape) == bool(edges)
    inputs = left.fetch(indices.forget)
    assert bool(inputs["x"][inputs["readout"]].any()) == (unit == "label")
    assert (left is graph) == (unit == "label")


def test_forgotten_nodes_touch_nothing_in_what_remains(graph):
    strategy = NodeForget(fraction=0.2)
    indices = split(strategy, graph)
    left = pairs(data_of(strategy, graph).retain.pool)
    gone = set(indices.forget.tolist())
    assert left == [edge for edge in pairs(graph) if not gone & set(edge)]


def test_gold_never_sees_a_forgotten_feature(graph):
    strategy = NodeForget(fraction=0.2)
    indices = split(strategy, graph)
    changed = replace(graph, x=graph.x.index_fill(0, indices.forget, 7.0))
    ours, theirs = (data_of(strategy, pool).retain for pool in (graph, changed))
    with isolated(0, "model"):
        model = GraphNetwork((16,), 4, layer=gcn_layer, level="node", hidden=8).train()
    assert torch.equal(*(model(view.pool.fetch(view.index)) for view in (ours, theirs)))


@pytest.mark.parametrize("unit", ["node", "feature"])
def test_evaluation_sees_the_full_graph_unless_asked(graph, unit):
    full, cut = (NodeForget(unit=unit, evaluate_on=place) for place in ("full", "cut"))
    assert data_of(full, graph).evaluated is graph
    assert data_of(cut, graph).evaluated.fingerprint == data_of(cut, graph).retain.pool.fingerprint


def test_edges_go_in_both_directions(graph):
    strategy = EdgeForget(fraction=None, count=10)
    indices = split(strategy, graph)
    edges = {tuple(edge) for edge in indices.scenario["edges"]}
    assert len(edges) == 10
    left = pairs(data_of(strategy, graph).retain.pool)
    gone = edges | {(b, a) for a, b in edges}
    assert left == [edge for edge in pairs(graph) if edge not in gone]
    assert len(pairs(graph)) - len(left) == 20


def test_the_ends_of_edges_are_forgotten_and_gold_keeps_their_labels(graph):
    strategy = EdgeForget(fraction=0.02)
    indices = split(strategy, graph)
    ends = torch.tensor(indices.scenario["edges"]).flatten().unique()
    train = indices.train
    assert torch.equal(indices.forget, train[torch.isin(train, ends)])
    view = data_of(strategy, graph).retain
    assert torch.equal(view.index, train)
    assert torch.equal(view.pool.x, graph.x)


def test_every_forgotten_edge_touches_a_training_node(graph):
    indices = split(EdgeForget(fraction=0.05), graph)
    edges = torch.tensor(indices.scenario["edges"])
    assert torch.isin(edges, indices.train).any(dim=1).all()
    assert (edges[:, 0] < edges[:, 1]).all()
    again = split(EdgeForget(fraction=0.05), graph)
    assert (again.fingerprint, again.scenario) == (indices.fingerprint, indices.scenario)
    assert split(EdgeForget(fraction=0.05), graph, seed=1).scenario != indices.scenario


def test_evaluation_without_the_edges_is_on_request(graph):
    full, cut = (
        EdgeForget(fraction=None, count=5),
        EdgeForget(fraction=None, count=5, evaluate_on="cut"),
    )
    assert data_of(full, graph).evaluated is graph
    assert len(pairs(graph)) - len(pairs(data_of(cut, graph).evaluated)) == 10


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NodeForget(unit="edge"), "unit must be one of label, node, feature"),
        (lambda: NodeForget(evaluate_on="half"), "evaluate_on must be one of full, cut"),
        (lambda: NodeForget(unit="label", evaluate_on="cut"), "evaluate_on must be full with"),
        (lambda: NodeForget(fraction=1.0), r"fraction must be in \(0, 1\)"),
        (lambda: NodeForget(count=3), "fraction and count exclude each other"),
        (lambda: EdgeForget(fraction=None, count=0), "count must be >= 1"),
        (lambda: EdgeForget(evaluate_on="none"), "evaluate_on must be one of full, cut"),
    ],
)
def test_settings_that_cannot_work_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize("strategy", [NodeForget(), EdgeForget()])
def test_samples_that_are_no_nodes_are_refused(strategy):
    pool = SyntheticGraphs(num_graphs=30)(DataConfig())
    with pytest.raises(UnsupportedError, match="needs a data set that is one graph"):
        split(strategy, pool)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fraction": None, "count": 10**6}, "must be at least one of them"),
        ({"fraction": 1e-6}, "fraction=1e-06 forgets 0 of the"),
    ],
)
def test_an_impossible_number_of_edges_is_refused(graph, fields, message):
    with pytest.raises(ConfigError, match=message):
        split(EdgeForget(**fields), graph)


def test_too_many_edges_leave_no_training_node_untouched(graph):
    with pytest.raises(ConfigError, match="selects all"):
        split(EdgeForget(fraction=0.9), graph)


def test_a_graph_without_edges_has_none_to_forget(graph):
    with pytest.raises(ConfigError, match="no edge of this graph"):
        split(EdgeForget(), graph.without_edges(torch.ones(graph.edge_index.shape[1]).bool()))


@pytest.fixture(scope="module")
def story():
    """The finding of the specification, small: labels-only and node-removal retraining."""
    pool = StochasticBlockModel(num_nodes=400, inside=0.08, across=0.01, signal=0.3)(DataConfig())
    strategy = NodeForget(fraction=0.2)
    indices = split(strategy, pool)

    def trained(view):
        with isolated(0, "model"):
            model = GraphNetwork((16,), 4, layer=gcn_layer, level="node", hidden=16)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02, weight_decay=5e-4)
        inputs = view.pool.fetch(view.index)
        for _ in range(60):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(inputs), view.targets).backward()
            optimizer.step()
        return model

    return {
        "pool": pool,
        "indices": indices,
        "cut": data_of(strategy, pool).retain.pool,
        "original": trained(View(pool, indices.train)),
        "labels": trained(View(pool, indices.retain)),
        "nodes": trained(data_of(strategy, pool).retain),
    }


def test_a_forgotten_node_is_still_recognized_by_its_neighbours(story):
    forget = View(story["pool"], story["indices"].forget)
    assert accuracy(story["original"], forget) > 0.95
    assert accuracy(story["labels"], forget) > 0.75
    assert accuracy(story["nodes"], forget) > 0.75


def test_in_the_cut_graph_a_forgotten_node_is_a_stranger(story):
    forget = View(story["cut"], story["indices"].forget)
    assert accuracy(story["nodes"], forget) < 0.5
    with evaluating(story["nodes"]), torch.no_grad():
        logits = story["nodes"](forget.pool.fetch(forget.index))
    torch.testing.assert_close(logits, logits[:1].expand_as(logits))
    retain = View(story["cut"], story["indices"].retain)
    assert accuracy(story["nodes"], retain) > 0.95


def test_reading_a_node_counts_as_one_read(graph):
    audited = AuditedPool.watch(graph)
    list(View(audited, torch.arange(30)).batches(8))
    assert audited.passes(torch.arange(30)) == 1.0
    assert audited.passes(torch.arange(30, 200)) == 0.0


SMALL = (
    "dataset=sbm",
    "dataset.num_nodes=160",
    "dataset.inside=0.1",
    "trainer.fit.epochs=20",
    "device=cpu",
    "tracking=none",
    "pictures=false",
)


def small(compose_config, tmp_path, *overrides):
    places = (f"store.root={tmp_path / 'store'}", f"data.root={tmp_path / 'data'}")
    return compose_config(*SMALL, *places, *overrides)


@pytest.mark.parametrize(
    ("unlearner", "how"),
    one_in_default(
        [
            ("scrub", ("split=nodes",)),
            ("scrub", ("split=nodes", "split.unit=feature")),
            ("scrub", ("split=edges", "split.fraction=0.02")),
            ("ssd", ("split=nodes", "split.unit=label")),
            ("ssd", ("split=random",)),
        ]
    ),
)
def test_a_trial_runs_on_the_nodes_of_a_graph(compose_config, tmp_path, unlearner, how):
    fit = ("unlearner.fit.epochs=2",) if unlearner == "scrub" else ("unlearner.alpha=1.0",)
    gap = run(small(compose_config, tmp_path, f"unlearner={unlearner}", *how, *fit))
    assert 0.0 <= gap <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("split", one_in_default(["nodes", "edges"]))
def test_a_trial_evaluates_where_it_is_told_to(compose_config, tmp_path, split):
    full, cut = (
        assemble(
            small(compose_config, tmp_path, f"split={split}", f"split.evaluate_on={place}")
        ).data
        for place in ("full", "cut")
    )
    assert full.evaluated is full.pool
    assert cut.evaluated.fingerprint == cut.retain.pool.fingerprint != cut.pool.fingerprint
    share = ("split.fraction=0.02",) if split == "edges" else ()
    gap = run(small(compose_config, tmp_path, f"split={split}", "split.evaluate_on=cut", *share))
    assert 0.0 <= gap <= 1.0


def test_a_method_that_mixes_both_graphs_is_told_so(compose_config, tmp_path):
    cfg = small(compose_config, tmp_path, "unlearner=ssd", "split=nodes")
    with pytest.raises(ErasureError, match=r"split\.unit=label"):
        run(cfg)


def test_equal_nodes_elsewhere_are_announced(graph, caplog):
    twins = replace(graph, x=torch.zeros_like(graph.x), edge_index=graph.edge_index[:, :0])
    with caplog.at_level(logging.WARNING):
        split(NodeForget(), twins)
    assert "retained" in caplog.text
