"""SFRon: mask, weights and the loop, each written out."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from erasure.core.errors import ConfigError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import stream
from erasure.testing import toy_task
from erasure.training.schedules import Cosine
from erasure.unlearners.finetune import Finetune
from erasure.unlearners.sfron import SFRon

MODELS = pytest.mark.parametrize("model", ["mlp", "cnn"])


def importance(net, view, size):
    """Mean over batches, in the order of the view, of the squared gradient of the mean loss."""
    inputs, total = view.pool.pool.inputs[view.index], 0.0
    count = -(-len(view) // size)  # as many batches as of this size, but equal ones
    parts = list(zip(inputs.tensor_split(count), view.targets.tensor_split(count), strict=True))
    for part, targets in parts:
        loss = F.cross_entropy(net.eval()(part), targets)
        slopes = torch.autograd.grad(loss, list(net.parameters()))
        total = total + torch.cat([slope.flatten() for slope in slopes]) ** 2
    return total / len(parts)


def mask(task, size, gamma):
    of_forget, of_retain = (importance(task.model, v, size) for v in (task.forget, task.retain))
    return (of_forget + 1e-15) / (of_retain + 1e-15) >= gamma


def weights(losses, power):
    raw = losses**-power
    return raw / raw.sum()


def reference(task, parameters, *, lr, alpha, gamma, power, every, clip, epochs, size):
    """SGD with momentum .9 and weight decay .01 under a cosine over the retain steps."""
    allowed, net = mask(task, size, gamma), task.model
    aside = stream(task.generator.initial_seed(), "sfron", "forget")
    velocity, done, drop = torch.zeros(len(allowed)), 0, iter(())
    steps = epochs * task.retain.num_batches(size)

    def step(loss, allowed, limit):
        nonlocal velocity
        slopes = torch.autograd.grad(loss, list(net.parameters()))
        slope = torch.cat([part.flatten() for part in slopes]) * allowed
        slope = slope * min(1.0, limit / (slope.norm().item() + 1e-6))
        velocity = 0.9 * velocity + slope + 0.01 * parameters(net)
        rate = lr * (1 + math.cos(math.pi * done / steps)) / 2
        moved = parameters(net) - rate * velocity
        torch.nn.utils.vector_to_parameters(moved, net.parameters())

    for _ in range(epochs):
        for batch in task.retain.batches(size, generator=task.generator):
            net.train()
            if done % every == 0:
                result = next(drop, None)
                if result is None:
                    drop = task.forget.batches(size, generator=aside)
                    result = next(drop)
                losses = F.cross_entropy(net(result.inputs), result.targets, reduction="none")
                scale = alpha * (1 + math.cos(math.pi * done / steps)) / 2
                weighted = len(losses) * weights(losses.detach(), power) * losses
                step(-scale * weighted.mean(), allowed, clip)
            step(F.cross_entropy(net(batch.inputs), batch.targets), 1.0, math.inf)
            done += 1
    return net


@MODELS
@pytest.mark.parametrize(("every", "power"), [(2, 0.5), (3, 0.0)])
def test_it_is_the_loop_written_out(fit, parameters, model, every, power):
    """22 retain steps, 11 per epoch, with forget batches of 16 and 7 in front of some."""
    shared = {"alpha": 3.0, "gamma": 1.0, "every": every}
    loop = fit(lr=0.02, batch_size=16, momentum=0.9, weight_decay=0.01)
    loop = replace(loop, schedule=Cosine(), clip=0.3)
    ours = SFRon(fit=loop, adaptivity=power, **shared)(toy_task(model))
    expected = reference(
        toy_task(model), parameters, lr=0.02, power=power, clip=0.3, epochs=2, size=16, **shared
    )
    assert torch.allclose(parameters(ours), parameters(expected), rtol=0, atol=2e-5)
    assert (parameters(ours) - parameters(toy_task(model).model)).abs().max() > 1e-2


@MODELS
@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_weights_move_in_the_first_forget_step_where_the_mask_is_one(
    fit, parameters, model, gamma
):
    task, before, after = toy_task(model), parameters(toy_task(model).model), []

    class Watching(torch.optim.SGD):
        def step(self, closure=None):
            super().step(closure)
            after.append(parameters(task.model))

    loop = fit(Watching, lr=0.1, epochs=1, batch_size=32)
    SFRon(fit=loop, gamma=gamma)(task)
    moved = after[0] != before
    allowed = mask(toy_task(model), 32, gamma)
    assert 0 < int(allowed.sum()) < len(allowed)
    assert not (moved & ~allowed).any()
    matters = importance(toy_task(model).model, task.forget, 32) > 1e-9  # not a dead unit's
    assert moved[allowed & matters].float().mean() > 0.95
    assert (after[1] != after[0])[~allowed].any()  # retain steps are not masked


def test_a_higher_threshold_marks_fewer_weights():
    marked = [mask(toy_task(), 32, gamma) for gamma in (0.0, 0.5, 1.0, 2.0, 8.0)]
    counts = [int(item.sum()) for item in marked]
    assert counts[0] == len(marked[0])
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < counts[1]
    assert all((high <= low).all() for low, high in pairwise(marked))


@pytest.mark.parametrize(
    ("power", "expected"),
    [
        (0.0, [1 / 3, 1 / 3, 1 / 3]),
        (0.5, [4 / 7, 2 / 7, 1 / 7]),  # 1 : 1/2 : 1/4
        (1.0, [16 / 21, 4 / 21, 1 / 21]),  # 1 : 1/4 : 1/16
    ],
)
def test_samples_are_weighed_by_a_power_of_their_loss(fit, power, expected):
    result = SFRon(fit=fit(), adaptivity=power)._weights(torch.tensor([1.0, 4.0, 16.0]))
    assert result.tolist() == pytest.approx(expected, rel=1e-6)


def test_a_loss_of_zero_gives_no_infinity(fit):
    result = SFRon(fit=fit(), adaptivity=2.0)._weights(torch.tensor([0.0, 0.0, 1.0]))
    assert result.tolist() == pytest.approx([0.5, 0.5, 0.0])


@MODELS
def test_a_mask_that_lets_nothing_through_leaves_finetuning(fit, parameters, model):
    """Without momentum and decay a forget step without gradient changes no parameter."""
    ours = SFRon(fit=fit(mode="eval"), gamma=1e30)(toy_task(model))
    tuned = Finetune(fit=fit(mode="eval"))(toy_task(model))
    assert parameters(ours).equal(parameters(tuned))


def test_passes_over_each_part(fit):
    """5 epochs of 6 batches are 30 retain steps and 6 forget steps of all 23 samples."""
    task = toy_task()
    SFRon(fit=fit(lr=0.001, epochs=5))(task)
    reads = task.forget.pool.reads
    assert (reads[task.retain.index] == 1 + 5).all()
    assert (reads[task.forget.index] == 1 + 6).all()


def test_importances_are_remembered_with_their_batch_size(fit):
    asked = []

    def cached(name, view, compute, **settings):
        asked.append((len(view), name, settings))
        return compute()

    SFRon(fit=fit(lr=0.001))(replace(toy_task(), cached=cached))
    # those of ssd, which shares them
    settings = {"objective": "loss", "batch_size": 32, "equal_batches": True}
    assert asked == [
        (23, "mean_squared_gradients", settings),
        (177, "mean_squared_gradients", settings),
    ]


def test_several_labels_per_sample(fit, multilabel_task, parameters):
    """The first step ascends the binary cross-entropy, each sample by its own mean."""
    task, net, after = multilabel_task(), multilabel_task().model, []

    class Watching(torch.optim.SGD):
        def step(self, closure=None):
            super().step(closure)
            after.append(parameters(task.model))

    inputs = task.forget.pool.pool.inputs[task.forget.index]
    losses = F.binary_cross_entropy_with_logits(
        net(inputs), task.forget.targets.float(), reduction="none"
    ).mean(dim=1)
    ascent = -2.0 * (weights(losses.detach(), 0.5) * losses).sum()
    slopes = torch.autograd.grad(ascent, list(net.parameters()))
    expected = parameters(net) - 0.1 * torch.cat([slope.flatten() for slope in slopes])
    loop = fit(Watching, lr=0.1, epochs=1, batch_size=60)
    SFRon(fit=loop, alpha=2.0, gamma=0.0)(task)
    assert torch.allclose(after[0], expected, rtol=0, atol=1e-6)


def test_no_epochs_change_nothing(fit):
    before = model_fingerprint(toy_task("cnn").model)
    assert model_fingerprint(SFRon(fit=fit(epochs=0))(toy_task("cnn"))) == before


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"alpha": 0.0}, "alpha must be > 0, got 0.0"),
        ({"gamma": -1.0}, "gamma must be >= 0, got -1.0"),
        ({"adaptivity": -0.5}, "adaptivity must be >= 0, got -0.5"),
        ({"every": 0}, "every must be >= 1, got 0"),
    ],
)
def test_settings_are_checked(fit, setting, message):
    with pytest.raises(ConfigError, match=message):
        SFRon(fit=fit(), **setting)
