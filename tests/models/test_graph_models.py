"""Graph networks: closed forms, symmetry, and samples that do not see each other."""

import copy
import subprocess
import sys
from functools import partial

import pytest
import torch
from patience import HANGS
from torch import nn

from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.modes import evaluating
from erasure.core.seeding import isolated
from erasure.core.splits import View
from erasure.data.sources.graphs.made import StochasticBlockModel, SyntheticGraphs
from erasure.models.graph_layers import gat_layer, gcn_layer, gin_layer, sage_layer
from erasure.models.graphs import GraphNetwork, pooled
from erasure.models.layers import head, tail, weighted_layers
from erasure.models.precision import with_precision
from erasure.training.fit import Fit
from erasure.training.many.ensemble import obstacle
from erasure.training.per_sample.gradients import sample_gradients
from erasure.training.trainers import Standard

LAYERS = {"gcn": gcn_layer, "sage": sage_layer, "gin": gin_layer, "gat": gat_layer}
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


def rows(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def graphs():
    return SyntheticGraphs(num_graphs=12)(DataConfig())


@pytest.fixture(scope="module")
def nodes():
    return StochasticBlockModel(num_nodes=40, inside=0.3)(DataConfig())


def network(kind, edge=0, **settings):
    """Return one layer without normalization, and its head, for the nodes of a graph."""
    layer = partial(LAYERS[kind], **settings)
    sizes = {"hidden": 3, "depth": 1, "norm": "none", "num_edge_features": edge}
    with isolated(0, "network"):
        model = GraphNetwork((2,), 4, layer=layer, level="node", **sizes).double()
        for parameter in model.parameters():  # biases and epsilon begin as zeros
            nn.init.normal_(parameter)
    return model.eval(), model.blocks[0].layer


def expected_logits(model, mixed):
    return mixed.relu() @ model.head.weight.T + model.head.bias


def logits_on_path(model, x, **edge_attr):
    inputs = {"x": x, "edge_index": PATH, "readout": torch.arange(len(x)), **edge_attr}
    return model(inputs)


def test_gcn_is_the_normalized_adjacency_times_a_linear_map():
    model, layer = network("gcn")
    x = rows(3, 2)
    adjacency = torch.tensor([[1.0, 1, 0], [1, 1, 1], [0, 1, 1]], dtype=torch.float64)
    scale = adjacency.sum(1).rsqrt().diag()
    mixed = scale @ adjacency @ scale @ x @ layer.lin.weight.T + layer.bias
    torch.testing.assert_close(logits_on_path(model, x), expected_logits(model, mixed))


def test_sage_adds_the_mean_of_the_neighbours_and_nothing_for_nobody():
    model, layer = network("sage")
    x = rows(4, 2)  # the last is no neighbour of anybody
    mean = torch.stack([x[1], (x[0] + x[2]) / 2, x[1], torch.zeros(2, dtype=x.dtype)])
    mixed = mean @ layer.lin_l.weight.T + layer.lin_l.bias + x @ layer.lin_r.weight.T
    torch.testing.assert_close(logits_on_path(model, x), expected_logits(model, mixed))


def small_network(layer, total):
    first, _, _, second = layer.nn
    hidden = (total @ first.weight.T + first.bias).relu()
    return hidden @ second.weight.T + second.bias


def test_gin_applies_a_network_to_the_sum():
    model, layer = network("gin", norm="none")
    x = rows(3, 2)
    total = (1.0 + layer.eps) * x + torch.stack([x[1], x[0] + x[2], x[1]])
    mixed = small_network(layer, total)
    torch.testing.assert_close(logits_on_path(model, x), expected_logits(model, mixed))


def test_gin_sends_the_relu_of_node_and_edge():
    model, layer = network("gin", edge=4, norm="none")
    x, bonds = rows(3, 2), rows(4, 4, seed=1)
    sent = (x[PATH[0]] + bonds @ layer.lin.weight.T + layer.lin.bias).relu()
    total = (1.0 + layer.eps) * x + torch.stack([sent[1], sent[0] + sent[3], sent[2]])
    mixed = small_network(layer, total)
    actual = logits_on_path(model, x, edge_attr=bonds)
    torch.testing.assert_close(actual, expected_logits(model, mixed))


@pytest.mark.parametrize("edge", [0, 2])
def test_attention_by_hand(edge):
    model, layer = network("gat", edge=edge, heads=1)
    x, bonds = rows(3, 2), rows(4, edge, seed=1)
    hidden = x @ layer.lin.weight.T
    sends, receives = hidden @ layer.att_src.flatten(), hidden @ layer.att_dst.flatten()
    scores = receives[:, None] + sends[None, :]
    if edge:
        of_edges = (bonds @ layer.lin_edge.weight.T) @ layer.att_edge.flatten()
        scores = scores.index_put((PATH[1], PATH[0]), of_edges, accumulate=True)
        # the loop at a node has the mean of what comes in: edge 1, edges 0 and 3, edge 2
        loops = torch.stack([of_edges[1], (of_edges[0] + of_edges[3]) / 2, of_edges[2]])
        scores = scores + loops.diag()
    unseen = torch.tensor([[0, 0, 1], [0, 0, 0], [1, 0, 0]], dtype=torch.bool)
    scores = nn.functional.leaky_relu(scores, 0.2).masked_fill(unseen, float("-inf"))
    mixed = scores.softmax(dim=1) @ hidden + layer.bias
    actual = logits_on_path(model, x, **({"edge_attr": bonds} if edge else {}))
    torch.testing.assert_close(actual, expected_logits(model, mixed))


def test_attention_survives_large_scores():
    model, layer = network("gat", heads=1)
    with torch.no_grad():
        layer.att_src.mul_(1e6)
    assert logits_on_path(model, rows(3, 2)).isfinite().all()


@pytest.mark.parametrize("kind", LAYERS)
def test_weights_are_drawn_from_the_isolated_generator_alone(kind):
    before = torch.random.get_rng_state()
    first, second = (built(kind, (4,), 3, level="graph").state_dict() for _ in range(2))
    torch.manual_seed(7)
    third = built(kind, (4,), 3, level="graph").state_dict()
    for name, weight in first.items():
        assert torch.equal(weight, second[name]), name
        assert torch.equal(weight, third[name]), name
    with isolated(1, "model"):
        other = GraphNetwork((4,), 3, layer=LAYERS[kind], level="graph").state_dict()
    drawn = [name for name, weight in first.items() if not torch.equal(weight, other[name])]
    assert any(name.startswith("blocks.0.layer") for name in drawn)
    torch.random.set_rng_state(before)


@pytest.mark.parametrize("kind", LAYERS)
def test_building_copying_and_running_leave_the_global_generator_alone(graphs, kind):
    before = torch.random.get_rng_state()
    model = copy.deepcopy(built(kind, (4,), 3, level="graph"))
    model(graphs.fetch(torch.arange(4)))
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_map_of_edges_comes_before_the_network_it_feeds():
    model, _ = network("gin", edge=4)
    names = [name.removeprefix("blocks.0.layer.") for name, _ in weighted_layers(model)]
    assert names == ["lin", "nn.0", "nn.3", "head"]


@pytest.mark.parametrize("kind", LAYERS)
def test_gradients_of_single_graphs_are_those_of_a_backward_pass_each(graphs, kind):
    model = built(kind, (4,), 3, level="graph", hidden=8)
    view, task_type = View(graphs, torch.arange(3)), graphs.task_type
    rows_of_gradients = torch.cat(list(sample_gradients(model, view, task_type.loss)))
    parameters = list(model.parameters())
    for index, actual in enumerate(rows_of_gradients):
        ids = torch.tensor([index])
        loss = task_type.loss(model(graphs.fetch(ids)), graphs.targets[ids]).sum()
        expected = torch.autograd.grad(loss, parameters)
        torch.testing.assert_close(actual, torch.cat([g.flatten() for g in expected]))


def test_graph_models_train_one_after_the_other_when_many_are_wanted():
    trainer = Standard(fit=Fit(optimizer=torch.optim.SGD, epochs=1, batch_size=4))
    assert obstacle(built("gcn", (4,), 3, level="graph"), trainer)


@pytest.mark.slow
def test_only_graphs_import_the_library_and_it_says_nothing():
    code = (
        "import sys, erasure, erasure.core.data_config, erasure.models.graphs as graphs\n"
        "from erasure.models import GraphNetwork, gcn_layer\n"
        "from erasure.data.sources.graphs.made import SyntheticGraphs\n"
        "assert 'torch_geometric' not in sys.modules\n"
        "gcn_layer(2, 3)\n"
        "assert 'torch_geometric' in sys.modules\n"
    )
    command = [sys.executable, "-W", "always", "-c", code]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=HANGS)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("pooling", "expected"), [("mean", [2.0, 5.0]), ("sum", [4.0, 5.0]), ("max", [3.0, 5.0])]
)
def test_pooling_is_by_graph(pooling, expected):
    nodes = torch.tensor([[1.0], [3.0], [5.0]])
    vectors = pooled(nodes, torch.tensor([0, 0, 1]), torch.tensor([0, 2, 3]), pooling)
    assert vectors.flatten().tolist() == expected


@pytest.mark.parametrize("pooling", ["mean", "sum", "max"])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_graph_does_not_see_the_others_of_its_batch(graphs, kind, pooling):
    model = built(kind, (4,), 3, level="graph", hidden=8, pooling=pooling)
    ids = torch.tensor([3, 0, 7])
    together = model(graphs.fetch(ids))
    alone = torch.cat([model(graphs.fetch(single)) for single in ids.split(1)])
    assert together.shape == (3, 3)
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("kind", LAYERS)
def test_the_numbers_of_nodes_mean_nothing(graphs, kind):
    model = built(kind, (4,), 3, level="graph", hidden=8)
    inputs = graphs.fetch(torch.tensor([2]))
    order = torch.randperm(len(inputs["x"]), generator=torch.Generator().manual_seed(0))
    new_number = order.argsort()
    renumbered = {
        **inputs,
        "x": inputs["x"][order],
        "edge_index": new_number[inputs["edge_index"]],
    }
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
    logits = model({**inputs, "edge_attr": bonds})
    assert not torch.allclose(logits, model({**inputs, "edge_attr": bonds.flip(0)}))


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
    assert [name for name, _ in tail(model, 1)] == ["head"]


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


@pytest.mark.parametrize("kind", LAYERS)
def test_neighbours_are_summed_in_float32_whatever_the_precision(kind):
    """A hub of 1,000 equal neighbours: bfloat16 stops counting at 256."""
    settings = {"norm": "none"} if kind == "gin" else {}
    with isolated(0, "hub"):
        layer = partial(LAYERS[kind], **settings)
        model = GraphNetwork((1,), 2, layer, level="node", hidden=8, norm="none").eval()
    leaves = torch.arange(1, 1001)
    hub = {
        "x": torch.full((1001, 1), 1.01),
        "edge_index": torch.stack([leaves, torch.zeros_like(leaves)]),
        "readout": torch.tensor([0]),
    }
    exact = model(hub)
    half = with_precision(copy.deepcopy(model), "bf16")
    inputs_of_layers = []
    for block in half.blocks:  # on a CPU the sum of bfloat16 is exact, on a GPU it is not
        block.layer.register_forward_pre_hook(lambda _, args: inputs_of_layers.append(args[0]))
    reduced = half(hub)
    assert [x.dtype for x in inputs_of_layers] == [torch.float32, torch.float32]
    torch.testing.assert_close(reduced, exact, atol=0.02, rtol=0.02)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": 0}, "hidden must be >= 1"),
        ({"depth": 0}, "depth must be >= 1"),
        ({"norm": "group"}, "norm must be one of batch, layer, none"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
        ({"pooling": "min"}, "pooling must be one of mean, sum, max"),
        ({"layer": partial(gat_layer, heads=3)}, "layer.heads must divide hidden=64"),
        ({"layer": partial(gin_layer, norm="group")}, "layer.norm must be one of"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        GraphNetwork((4,), 3, **{"layer": gcn_layer, "level": "graph", **settings})


def test_samples_that_are_no_graphs_are_refused():
    with pytest.raises(UnsupportedError, match="graph models need graphs"):
        GraphNetwork((1, 8, 8), 10, layer=gcn_layer)


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
