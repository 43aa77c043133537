"""The last k layers: which they are, that no others move, and what is reset."""

from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
from torch import nn

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import isolated, stream
from erasure.models.layers import tail
from erasure.testing import toy_task
from erasure.testing.toy import EPOCHS, RATES
from erasure.unlearners.cf_k import CFk
from erasure.unlearners.eu_k import EUk, _kaiming
from erasure.unlearners.finetune import Finetune

MODELS = pytest.mark.parametrize("model", ["mlp", "cnn"])
METHODS = pytest.mark.parametrize("method", [CFk, EUk])

LAST = {
    "mlp": {1: {"layers.3"}},
    "cnn": {1: {"head.3"}, 2: {"head.3", "head.1"}},
}
"""Layers among the last k, before k is all: mlp has 2 of them, cnn has 3."""


def nested():
    """A network with a norm in front, blocks within blocks, and norms of several kinds."""

    def block(wide, narrow):
        inner = OrderedDict(linear=nn.Linear(wide, narrow), norm=nn.BatchNorm1d(narrow))
        return nn.Sequential(OrderedDict(inner=nn.Sequential(inner), act=nn.ReLU()))

    with isolated(0, "nested"):
        parts = OrderedDict(
            flat=nn.Flatten(),
            norm=nn.BatchNorm1d(36),
            one=block(36, 8),
            two=block(8, 8),
            scale=nn.LayerNorm(8),
            head=nn.Linear(8, 4),
        )
        return nn.Sequential(parts)


def nested_task():
    return replace(toy_task(), model=nested(), fresh=lambda salt="": nested())


def changed(before, after):
    state = after.state_dict()
    return {name for name, value in before.items() if not state[name].equal(value)}


def snapshot(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize(
    ("k", "modules"),
    [
        (1, {"head"}),
        (2, {"two.inner.linear", "two.inner.norm", "scale", "head"}),
        (3, {"norm", "one.inner.linear", "one.inner.norm", "two.inner.linear",
             "two.inner.norm", "scale", "head"}),
    ],
)  # fmt: skip
@METHODS
def test_layers_are_counted_from_the_end_and_norms_met_on_the_way_move(fit, method, k, modules):
    """The norm in front of all layers moves only when all layers do."""
    task = nested_task()
    before = snapshot(task.model)
    after = method(fit=fit(lr=0.1), k=k)(task)
    moved = {n.rpartition(".")[0] for n in changed(before, after) if n in parameter_names(after)}
    assert moved == modules


def parameter_names(model):
    return {name for name, _ in model.named_parameters()}


@METHODS
@pytest.mark.parametrize(("model", "k"), [("mlp", 1), ("cnn", 1), ("cnn", 2)])
def test_frozen_parameters_keep_every_bit(fit, method, model, k):
    task = toy_task(model)
    before = snapshot(task.model)
    after = method(fit=fit(momentum=0.9, weight_decay=0.1), k=k)(task)
    moved = changed(before, after) & parameter_names(after)
    assert {name.rpartition(".")[0] for name in moved} == LAST[model][k]
    assert all(parameter.requires_grad for parameter in after.parameters())


@METHODS
def test_frozen_norms_drift_or_stay(fit, method):
    buffers = ("one.inner.norm", "two.inner.norm")
    moved = {}
    for norms in ("train", "frozen"):
        task = nested_task()
        before = snapshot(task.model)
        after = method(fit=fit(), k=2, norms=norms)(task)
        moved[norms] = {name for name in changed(before, after) if "running" in name}
        assert not any(module._forward_pre_hooks for module in after.modules())
    every = {f"{name}.running_{what}" for name in buffers for what in ("mean", "var")}
    assert moved["train"] == every | {"norm.running_mean", "norm.running_var"}
    assert moved["frozen"] == {name for name in every if name.startswith("two")}


@MODELS
@pytest.mark.parametrize("k", [3, 10])
@pytest.mark.parametrize("norms", ["train", "frozen"])
def test_all_layers_of_cf_k_are_finetuning(fit, model, k, norms):
    loop = fit(momentum=0.9)
    ours = CFk(fit=loop, k=k, norms=norms)(toy_task(model))
    assert model_fingerprint(ours) == model_fingerprint(Finetune(fit=loop)(toy_task(model)))


def test_all_layers_of_eu_k_from_their_initial_weights_are_a_retraining(fit):
    """With the trainer's loop and order, in a network without norms, bit for bit."""
    loop = fit(torch.optim.Adam, lr=RATES["mlp"], epochs=EPOCHS, batch_size=64)
    task = replace(toy_task(), generator=stream(0, "toy", "train"))
    ours = EUk(fit=loop, k=2, reset="initial")(task)
    assert model_fingerprint(ours) == model_fingerprint(task.train(task.retain))
    assert model_fingerprint(ours) != model_fingerprint(toy_task().model)


def test_with_norms_the_retraining_differs_by_their_start_alone(fit):
    loop = fit(torch.optim.Adam, lr=RATES["cnn"], epochs=EPOCHS, batch_size=64)
    task = replace(toy_task("cnn"), generator=stream(0, "toy", "train"))
    fresh = task.fresh()
    for name, module in task.model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.load_state_dict(fresh.get_submodule(name).state_dict())
    ours = EUk(fit=loop, k=3, reset="initial")(task)
    assert model_fingerprint(ours) == model_fingerprint(task.train(task.retain))


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("reset", ["kaiming", "initial"])
def test_the_reset_reaches_exactly_the_layers_that_count(fit, k, reset):
    """Without training; ``nested`` is its own start, so its weights are moved first."""
    task = nested_task()
    with torch.no_grad():
        for parameter in task.model.parameters():
            parameter.add_(1.0)
    before = snapshot(task.model)
    after = EUk(fit=fit(epochs=0), k=k, reset=reset)(task)
    layers = ["head", "two.inner.linear", "one.inner.linear"][:k]
    assert changed(before, after) == {f"{name}.{p}" for name in layers for p in ("weight", "bias")}
    for name in layers:
        layer, start = after.get_submodule(name), nested().get_submodule(name)
        if reset == "initial":
            assert layer.weight.equal(start.weight)
            assert layer.bias.equal(start.bias)
        else:
            assert not layer.bias.any()
            assert not layer.weight.equal(start.weight)


def test_variance_of_the_reset(fit):
    """``2 / fan_in``: 2/36 over 36 * 8 weights, estimated to 8 percent at one sigma."""
    layer = EUk(fit=fit(epochs=0), k=3)(nested_task()).get_submodule("one.inner.linear")
    assert layer.weight.var().item() == pytest.approx(2 / 36, rel=0.25)
    assert layer.weight.mean().item() == pytest.approx(0.0, abs=4 * (2 / 36 / 288) ** 0.5)


def test_what_the_last_layers_knew_is_gone(fit):
    """With all layers reset and no training, accuracy on the forget set is that of chance."""
    task = toy_task("cnn")
    logits = EUk(fit=fit(epochs=0), k=3)(task).eval()(task.forget.pool.fetch(task.forget.index))
    assert (logits.argmax(dim=1) == task.forget.targets).float().mean() < 0.6


@METHODS
def test_the_retain_set_is_read_once_per_epoch_and_nothing_else(fit, method):
    task = toy_task("cnn")
    method(fit=fit(epochs=3), k=2)(task)
    reads = task.forget.pool.reads
    assert (reads[task.retain.index] == 3).all()
    assert int(reads.sum()) == 3 * 177


@METHODS
def test_sets_of_labels(fit, method, multilabel_task):
    task = multilabel_task()
    before = snapshot(task.model)
    after = method(fit=fit(lr=0.5, epochs=20), k=1)(task)
    assert changed(before, after) == {"layers.3.weight", "layers.3.bias"}
    inputs = task.retain.pool.fetch(task.retain.index)
    loss = task.task_type.loss(after(inputs), task.retain.targets).mean()
    assert loss < task.task_type.loss(task.fresh()(inputs), task.retain.targets).mean()


def test_shared_weights_are_trained_with_the_layer_that_moves(fit):
    def tied():
        with isolated(0, "tied"):
            parts = [nn.Flatten(), nn.Linear(36, 4), nn.Linear(4, 4), nn.Linear(4, 4)]
        parts[3].weight = parts[2].weight
        return nn.Sequential(*parts)

    task = replace(toy_task(), model=tied())
    before = snapshot(task.model)
    assert [name for name, _ in tail(task.model, 1)] == ["3"]
    assert [name for name, _ in tail(task.model, 9)] == ["", "0", "1", "2", "3"]
    after = CFk(fit=fit(), k=1)(task)
    assert changed(before, after) == {"2.weight", "3.weight", "3.bias"}


@METHODS
def test_a_network_without_layers_is_refused(fit, method):
    task = replace(toy_task(), model=nn.Sequential(nn.Flatten(), nn.LayerNorm(36)))
    with pytest.raises(UnsupportedError, match="use a method that does not count layers"):
        method(fit=fit())(task)


@METHODS
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"k": 0}, "k must be >= 1, got 0"),
        ({"norms": "eval"}, "norms must be train or frozen, got 'eval'"),
    ],
)
def test_settings_are_checked(fit, method, setting, message):
    with pytest.raises(ConfigError, match=message):
        method(fit=fit(), **setting)


def test_a_reset_that_does_not_exist_is_refused(fit):
    with pytest.raises(ConfigError, match="reset must be kaiming or initial, got 'zero'"):
        EUk(fit=fit(), reset="zero")


def test_a_reset_leaves_the_row_of_padding_at_zero():
    """Padding adds nothing to a text, before and after the layers forget."""
    with isolated(0, "table"):
        table = nn.Embedding(6, 4, padding_idx=2)
    nn.init.ones_(table.weight)
    _kaiming(table, stream(0, "reset"))
    assert table.weight[2].tolist() == [0.0] * 4
    others = table.weight[torch.tensor([0, 1, 3, 4, 5])]
    assert (others.abs() > 0).all()
    assert (others != 1.0).all()
