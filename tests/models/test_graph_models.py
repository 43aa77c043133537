"""Graph networks: closed forms, symmetry, and samples that do not see each other."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

from erasure.core.context import evaluating
from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.seeding import isolated
from erasure.data.sources.graphs.made import StochasticBlockModel, SyntheticGraphs
from erasure.models.graphs import GraphNetwork, pooled
from erasure.models.layers import head, tail
from erasure.models.message_passing import GATLayer, GCNLayer, GINLayer, SAGELayer, shares, summed
from erasure.models.precision import with_precision

LAYERS = {"gcn": GCNLayer, "sage": SAGELayer, "gin": GINLayer, "gat": GATLayer}
PATH = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])  # 0 - 1 - 2


def built(kind, *args, **settings):
    with isolated(0, "model"):
        model = GraphNetwork(*args, layer=LAYERS[kind], **settings)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.running_mean += 0.1
                module.running_var *= 1.5
    return model.eval()


def layer(kind, *args, **settings):
    with isolated(0, "layer"):
        return LAYERS[kind](*args, **settings).double()


def rows(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def graphs():
    return SyntheticGraphs(num_graphs=12)(DataConfig())


@pytest.fixture(scope="module")
def nodes():
    return StochasticBlockModel(num_nodes=40, inside=0.3)(DataConfig())


def test_gcn_is_the_normalized_adjacency_times_a_linear_map():
    found = layer("gcn", 2, 3)
    x = rows(3, 2)
    adjacency = torch.tensor([[1.0, 1, 0], [1, 1, 1], [0, 1, 1]], dtype=torch.float64)
    scale = adjacency.sum(1).rsqrt().diag()
    expected = scale @ adjacency @ scale @ x @ found.linear.weight.T + found.bias
    torch.testing.assert_close(found(x, PATH), expected)


def test_sage_adds_the_mean_of_the_neighbours_and_nothing_for_nobody():
    found = layer("sage", 2, 3)
    x = rows(4, 2)
    mean = torch.stack([x[1], (x[0] + x[2]) / 2, x[1], torch.zeros(2, dtype=x.dtype)])
    expected = mean @ found.neighbours.weight.T + found.own(x)
    torch.testing.assert_close(found(x, PATH), expected)


def test_gin_applies_a_network_to_the_sum():
    found = layer("gin", 2, 3, norm="none")
    nn.init.constant_(found.epsilon, 0.5)
    x = rows(3, 2)
    total = 1.5 * x + torch.stack([x[1], x[0] + x[2], x[1]])
    hidden = (total @ found.first.weight.T + found.bias).relu()
    torch.testing.assert_close(found(x, PATH), found.second(hidden))


def test_gin_sends_the_relu_of_node_and_edge():
    found = layer("gin", 2, 3, edge=4, norm="none")
    x, bonds = rows(3, 2), rows(4, 4, seed=1)
    sent = (x[PATH[0]] + found.edge(bonds)).relu()
    total = x + torch.stack([sent[1], sent[0] + sent[3], sent[2]])
    hidden = (total @ found.first.weight.T + found.bias).relu()
    torch.testing.assert_close(found(x, PATH, bonds), found.second(hidden))


def test_attention_of_one_head_by_hand():
    found = layer("gat", 2, 3, heads=1)
    x = rows(3, 2)
    hidden = x @ found.linear.weight.T
    sends, receives = hidden @ found.attention.source[0], hidden @ found.attention.target[0]
    scores = nn.functional.leaky_relu(sends[None, :] + receives[:, None], 0.2)
    unseen = torch.tensor([[0, 0, 1], [0, 0, 0], [1, 0, 0]], dtype=torch.bool)
    weights = scores.masked_fill(unseen, float("-inf")).softmax(dim=1)
    torch.testing.assert_close(found(x, PATH), weights @ hidden + found.bias)


def test_shares_are_a_softmax_that_survives_large_scores():
    scores = torch.tensor([[1000.0], [1001.0], [-1000.0]])
    found = shares(scores, torch.tensor([0, 0, 2]), 3)
    first = torch.tensor([0.0, 1.0]).softmax(0)
    torch.testing.assert_close(found.flatten(), torch.cat([first, torch.ones(1)]))


@pytest.mark.parametrize(
    ("pooling", "expected"), [("mean", [2.0, 5.0]), ("sum", [4.0, 5.0]), ("max", [3.0, 5.0])]
)
def test_pooling_is_by_graph(pooling, expected):
    nodes = torch.tensor([[1.0], [3.0], [5.0]])
    found = pooled(nodes, torch.tensor([0, 0, 1]), torch.tensor([0, 2, 3]), pooling)
    assert found.flatten().tolist() == expected


@pytest.mark.parametrize("pooling", ["mean", "sum", "max"])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_graph_does_not_see_the_others_of_its_batch(graphs, kind, pooling):
    model = built(kind, (4,), 3, level="graph", hidden=8, pooling=pooling)
    ids = torch.tensor([3, 0, 7])
    together = model(graphs.fetch(ids))
    alone = torch.cat([model(graphs.fetch(one)) for one in ids.split(1)])
    assert together.shape == (3, 3)
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("kind", LAYERS)
def test_the_numbers_of_nodes_mean_nothing(graphs, kind):
    model = built(kind, (4,), 3, level="graph", hidden=8)
    inputs = graphs.fetch(torch.tensor([2]))
    order = torch.randperm(len(inputs["x"]), generator=torch.Generator().manual_seed(0))
    place = order.argsort()
    renumbered = {**inputs, "x": inputs["x"][order], "edge_index": place[inputs["edge_index"]]}
    torch.testing.assert_close(model(renumbered), model(inputs))


@pytest.mark.parametrize("kind", LAYERS)
def test_a_node_is_read_out_of_the_whole_graph(nodes, kind):
    model = built(kind, (16,), 4, level="node", hidden=8)
    every = model(nodes.fetch(torch.arange(40)))
    some = torch.tensor([5, 31, 5])
    assert torch.equal(model(nodes.fetch(some)), every[some])


@pytest.mark.parametrize("kind", LAYERS)
def test_a_node_sees_as_far_as_there_are_layers(kind):
    line = torch.stack([torch.arange(5), torch.arange(1, 6)])
    edges = torch.cat([line, line.flip(0)], dim=1)
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    model = built(kind, (3,), 2, level="node", hidden=32, depth=2, norm="layer")
    model({"x": x, "edge_index": edges, "readout": torch.tensor([0])}).sum().backward()
    seen = x.grad.abs().sum(1) > 0
    assert seen.tolist() == [True, True, True, False, False, False]


@pytest.mark.parametrize("kind", LAYERS)
def test_equal_inputs_have_equal_bits(graphs, kind):
    model = built(kind, (4,), 3, level="graph", hidden=8)
    inputs = graphs.fetch(torch.arange(12))

    def gradients():
        model.zero_grad()
        model(inputs).square().sum().backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    assert torch.equal(gradients(), gradients())


@pytest.mark.parametrize("kind", LAYERS)
def test_every_parameter_learns(graphs, kind):
    model = built(kind, (4,), 3, level="graph", hidden=8).train()
    nn.functional.cross_entropy(model(graphs.fetch(torch.arange(12))), graphs.targets).backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None]
    assert silent == []


@pytest.mark.parametrize("kind", ["gin", "gat"])
def test_features_of_edges_are_used(graphs, kind):
    inputs = graphs.fetch(torch.arange(4))
    bonds = torch.rand(
        inputs["edge_index"].shape[1], 3, generator=torch.Generator().manual_seed(0)
    )
    model = built(kind, (4,), 3, level="graph", num_edge_features=3, hidden=8)
    found = model({**inputs, "edge_attr": bonds})
    assert not torch.allclose(found, model({**inputs, "edge_attr": bonds.flip(0)}))


@pytest.mark.parametrize("kind", LAYERS)
def test_in_half_precision_logits_are_close(graphs, kind):
    model = built(kind, (4,), 3, level="graph", hidden=8)
    inputs = graphs.fetch(torch.arange(12))
    half = with_precision(copy.deepcopy(model), "bf16")(inputs)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, model(inputs), atol=0.05, rtol=0.05)


@pytest.mark.parametrize("kind", LAYERS)
def test_the_head_sees_one_row_per_sample(graphs, kind):
    model = built(kind, (4,), 3, level="graph", hidden=8)
    name, linear = head(model)
    assert name == "head"
    assert linear.in_features == 8
    assert [found for found, _ in tail(model, 1)] == ["head"]


def test_parameters_are_counted_by_hand():
    def count(kind, **settings):
        model = built(kind, (5,), 3, level="node", hidden=8, norm="none", **settings)
        return sum(p.numel() for p in model.parameters())

    linear = 8 * 3 + 3
    assert count("gcn", depth=1) == 5 * 8 + 8 + linear
    assert count("gcn", depth=2) == 5 * 8 + 8 + 8 * 8 + 8 + linear
    assert count("sage", depth=1) == 2 * 5 * 8 + 8 + linear
    assert count("gat", depth=1) == 5 * 8 + 2 * 8 + 8 + linear
    # the norm of the small network inside has two vectors of its own
    assert count("gin", depth=1) == 1 + 5 * 8 + 8 + 2 * 8 + 8 * 8 + 8 + linear


def test_sums_are_made_in_float32_at_least():
    ones = torch.full((1000, 1), 1.01, dtype=torch.bfloat16)
    assert summed(ones, torch.zeros(1000, dtype=torch.long), 1).item() == pytest.approx(1007.8125)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": 0}, "hidden must be >= 1"),
        ({"depth": 0}, "depth must be >= 1"),
        ({"norm": "group"}, "norm must be one of batch, layer, none"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
        ({"pooling": "min"}, "pooling must be one of mean, sum, max"),
        ({"layer": partial(GATLayer, heads=3)}, "layer.heads must divide hidden=64"),
        ({"layer": partial(GINLayer, norm="group")}, "layer.norm must be one of"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        GraphNetwork((4,), 3, **{"layer": GCNLayer, "level": "graph", **settings})


def test_samples_that_are_no_graphs_are_refused():
    with pytest.raises(UnsupportedError, match="graph models need graphs"):
        GraphNetwork((1, 8, 8), 10, layer=GCNLayer)


@pytest.mark.parametrize("kind", ["gcn", "sage"])
def test_features_of_edges_that_cannot_be_used_are_refused(kind):
    with pytest.raises(UnsupportedError, match=f"model {kind} cannot use features of edges"):
        built(kind, (4,), 3, level="graph", num_edge_features=2)


def test_dropout_is_for_training_alone(graphs):
    model = built("gcn", (4,), 3, level="graph", dropout=0.9)
    inputs = graphs.fetch(torch.arange(4))
    with isolated(0, "a"):
        first = model.train()(inputs)
    with isolated(0, "b"):
        assert not torch.allclose(first, model(inputs))
    with evaluating(model):
        assert torch.equal(model(inputs), model(inputs))
