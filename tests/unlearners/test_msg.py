"""MSG against a plain loop written from its description."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from erasure.core.errors import ConfigError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import branch
from erasure.testing import toy_task
from erasure.training.schedules import Cosine
from erasure.unlearners.msg import MSG, rise_and_fall, smallest

MODELS = pytest.mark.parametrize("model", ["mlp", "cnn"])


def marked(before, after):
    return {n: (v != after[n]) for n, v in before.items() if n.endswith("weight") and v.ndim > 1}


@pytest.mark.parametrize("frac", [0.0, 0.1, 0.3, 0.77, 1.0])
def test_exactly_the_share_of_each_convolution_is_drawn_again(fit, frac):
    task = toy_task("cnn")
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    after = MSG(fit=fit(epochs=0), frac=frac)(task).state_dict()
    changed = marked(before, after)
    assert int(changed.pop("blocks.0.weight").sum()) == round(frac * 72)
    assert not any(mask.any() for mask in changed.values())
    assert all(after[n].equal(before[n]) for n in before if n != "blocks.0.weight")


def test_without_convolutions_linear_layers_are_treated_alike(fit):
    task = toy_task("mlp")
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    changed = marked(before, MSG(fit=fit(epochs=0), frac=0.25)(task).state_dict())
    assert {n: int(m.sum()) for n, m in changed.items()} == {
        "layers.1.weight": 288,
        "layers.3.weight": 32,
    }


def test_the_smallest_are_those_of_smallest_magnitude():
    values = torch.tensor([[0.5, -0.1, 3.0], [-2.0, 0.0, -0.4]])
    expected = torch.tensor([[False, True, False], [False, True, True]])
    assert smallest(values, 0.5).equal(expected)


def test_the_rate_rises_to_the_middle_and_falls():
    thirds = [1 / 3, 2 / 3, 1, 2 / 3, 1 / 3]
    assert [rise_and_fall(epoch, 5) for epoch in range(1, 6)] == pytest.approx(thirds)
    assert [rise_and_fall(epoch, 2) for epoch in (1, 2)] == [1, 0.5]
    assert rise_and_fall(1, 1) == 1


def reference(task, *, frac, scale, epochs, lr, momentum, decay, size=32):
    """Gradients through ``backward`` in eval mode, masks by ``topk``, SGD written out."""
    net = task.model.eval()
    order = torch.randperm(len(task.retain), generator=branch(task.generator, "msg", "subset"))
    total = None
    for sign, view in ((1, task.retain.take(order[: len(task.forget)])), (-1, task.forget)):
        for batch in view.batches(size):
            net.zero_grad()
            F.cross_entropy(net(batch.inputs), batch.targets).backward()
            result = sign * net.blocks[0].weight.grad
            total = result.clone() if total is None else total + result
    weight = net.blocks[0].weight
    lowest = (-total.abs()).flatten().topk(round(frac * weight.numel())).indices
    again = torch.zeros(weight.numel(), dtype=torch.bool)
    again[lowest] = True
    again = again.reshape(weight.shape)
    fan_out = weight.shape[0] * 9
    drawn = torch.randn(weight.shape, generator=branch(task.generator, "msg", "weights"))
    with torch.no_grad():
        weight[again] = (drawn * (2 / fan_out) ** 0.5)[again]
    factor = torch.full(weight.shape, scale).masked_fill(again, 1.0)
    memory = {}
    net.train()
    for epoch in range(1, epochs + 1):
        rate = lr * min(epoch, epochs + 1 - epoch) / ((epochs + 1) // 2)  # odd numbers of epochs
        for batch in task.retain.batches(size, generator=task.generator):
            net.zero_grad()
            F.cross_entropy(net(batch.inputs), batch.targets).backward()
            for p in net.parameters():
                slope = p.grad * factor if p is weight else p.grad
                slope = slope + decay * p.data
                memory[p] = momentum * memory.get(p, 0) + slope
                p.data -= rate * memory[p]
    return net


def test_it_is_the_algorithm_of_the_authors(fit, parameters):
    loop = fit(lr=0.02, momentum=0.9, weight_decay=0.01, epochs=3)
    ours = MSG(fit=loop, frac=0.4, scale=0.1)(toy_task("cnn"))
    settings = {"frac": 0.4, "scale": 0.1, "epochs": 3, "lr": 0.02, "momentum": 0.9}
    expected = reference(toy_task("cnn"), **settings, decay=0.01)
    assert (parameters(ours) - parameters(expected)).abs().max() < 1e-5
    wrong = reference(toy_task("cnn"), **(settings | {"scale": 1.0}), decay=0.01)
    assert (parameters(ours) - parameters(wrong)).abs().max() > 1e-3


def test_gradients_are_taken_without_moving_running_statistics(fit, statistics):
    task = toy_task("cnn")
    before = statistics(task.model)
    assert statistics(MSG(fit=fit(epochs=0))(task)).equal(before)


def test_passes(fit):
    task = toy_task("cnn")
    MSG(fit=fit(epochs=2))(task)
    reads = task.forget.pool.reads
    assert (reads[task.forget.index] == 1).all()
    assert int(reads[task.retain.index].sum()) == 2 * len(task.retain) + len(task.forget)


def test_several_labels(fit, multilabel_task):
    task = multilabel_task()
    before = model_fingerprint(task.model)
    model = MSG(fit=fit())(task)
    assert model_fingerprint(model) != before
    assert all(value.isfinite().all() for value in model.state_dict().values())


@pytest.mark.parametrize("name", ["frac", "scale"])
def test_settings_are_checked(fit, name):
    with pytest.raises(ConfigError, match=rf"{name} must be in \[0, 1\], got 1.5"):
        MSG(fit=fit(), **{name: 1.5})


def test_a_schedule_is_refused(fit):
    with pytest.raises(ConfigError, match=r"fit\.schedule must be null"):
        MSG(fit=replace(fit(), schedule=Cosine()))
