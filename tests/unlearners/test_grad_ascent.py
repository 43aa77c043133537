from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from erasure.core.errors import ConfigError, DivergedError
from erasure.testing import toy_task
from erasure.training.scoring import accuracy
from erasure.unlearners.grad_ascent import GradAscent


def forget_loss(model, task):
    inputs = task.forget.pool.pool.fetch(task.forget.index)
    return F.cross_entropy(model.eval()(inputs), task.forget.targets)


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_one_step_goes_up_the_gradient(fit, parameters, model):
    task, reference = toy_task(model), toy_task(model).model
    slopes = torch.autograd.grad(forget_loss(reference, task), list(reference.parameters()))
    expected = parameters(reference) + 0.3 * torch.cat([s.flatten() for s in slopes])
    loop = fit(lr=0.3, epochs=1, batch_size=64, mode="eval")
    assert torch.allclose(parameters(GradAscent(fit=loop)(task)), expected, rtol=0, atol=1e-6)


def test_weight_decay_still_shrinks(fit, parameters):
    """``theta + lr * (gradient - decay * theta)``."""
    reference = toy_task().model
    slopes = torch.autograd.grad(forget_loss(reference, toy_task()), list(reference.parameters()))
    slope, start = torch.cat([s.flatten() for s in slopes]), parameters(reference)
    loop = fit(lr=0.3, epochs=1, batch_size=64, weight_decay=0.1)
    ours = parameters(GradAscent(fit=loop)(toy_task()))
    assert torch.allclose(ours, start + 0.3 * (slope - 0.1 * start), rtol=0, atol=1e-6)


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_the_forget_loss_does_not_fall(fit, model):
    losses = []
    for epochs in range(6):
        task = toy_task(model)
        loop = fit(lr=1e-3, epochs=epochs, batch_size=64, mode="eval")
        losses.append(forget_loss(GradAscent(fit=loop)(task), task).item())
    assert losses == sorted(losses)
    assert losses[-1] > losses[0]


def test_every_forget_sample_is_read_once_per_epoch_and_nothing_else(fit):
    task = toy_task()
    GradAscent(fit=fit(epochs=3, batch_size=8))(task)
    pool = task.forget.pool
    assert (pool.reads[task.forget.index] == 3).all()
    assert int(pool.reads.sum()) == 3 * len(task.forget)


def stopped(fit, stop, *, epochs=200, lr=0.05):
    task = toy_task()
    steps, accuracies = [], []

    def report(step, of, **values):
        steps.append(step)
        accuracies.append(accuracy(task.model, task.forget))

    loop = fit(lr=lr, epochs=epochs, batch_size=64)
    GradAscent(fit=loop, stop=stop)(replace(task, report=report))
    return task, steps, accuracies


def test_it_stops_after_the_first_epoch_at_the_accuracy_of_the_validation_set(fit):
    task, steps, accuracies = stopped(fit, "val")
    assert 1 < len(steps) < 200
    assert accuracies[-1] <= accuracy(task.model, task.val)
    assert accuracies[-2] > accuracies[-1]


def test_it_stops_at_chance(fit):
    task, steps, accuracies = stopped(fit, "chance")
    assert 1 < len(steps) < 200
    assert accuracies[-1] <= 1 / task.num_classes < min(accuracies[:-1])


def test_it_never_stops_unless_asked_to(fit):
    _, steps, accuracies = stopped(fit, "never", epochs=40, lr=0.2)
    assert steps == list(range(1, 41))
    assert accuracies[-1] <= 0.25


def test_only_the_stop_rule_reads_the_validation_set(fit):
    for stop, reads in (("never", 0), ("chance", 0), ("val", 1)):
        task, steps, _ = stopped(fit, stop, epochs=1, lr=1e-6)
        assert task.val.pool.passes(task.val.index) == reads * len(steps)


def test_watching_leaves_the_mode_of_the_model(fit):
    task, _, _ = stopped(fit, "val", epochs=1, lr=1e-6)
    assert all(module.training for module in task.model.modules())


def test_a_rate_far_too_large_fails_with_advice(fit):
    loop = fit(lr=1e20, epochs=50)
    with pytest.raises(DivergedError, match=r"loss became .*(inf|nan).*fit\.optimizer\.lr"):
        GradAscent(fit=loop)(toy_task())


def test_a_stop_rule_must_exist(fit):
    with pytest.raises(ConfigError, match="stop must be never, val or chance, got 'test'"):
        GradAscent(fit=fit(), stop="test")
