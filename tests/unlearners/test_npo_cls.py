"""NPO for classifiers: its start, the identity of its gradient, its limits."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from erasure.core.errors import ConfigError
from erasure.testing import toy_task
from erasure.unlearners.grad_ascent import GradAscent
from erasure.unlearners.neggrad_plus import NegGradPlus
from erasure.unlearners.npo_cls import NpoCls

MODELS = pytest.mark.parametrize("model", ["mlp", "cnn"])


def forget_data(task):
    return task.forget.pool.pool.inputs[task.forget.index], task.forget.targets


@MODELS
@pytest.mark.parametrize("beta", [0.1, 2.0])
def test_it_starts_at_two_over_beta_times_log_two(fit, model, beta):
    task, curve = toy_task(model), []
    task = replace(task, report=lambda step, of, **values: curve.append(values["loss"]))
    loop = fit(lr=0.0, epochs=1, mode="eval")
    NpoCls(fit=loop, beta=beta, retain_weight=0.0)(task)
    assert curve == [pytest.approx(2.0 / beta * math.log(2.0), rel=1e-6)]


@MODELS
def test_the_first_step_is_gradient_ascent(fit, parameters, model):
    """At the start every sample has the weight ``2 sigmoid(0) = 1``, whatever beta is."""
    loop = fit(lr=0.1, epochs=1, batch_size=200, mode="eval")
    ascended = GradAscent(fit=loop)(toy_task(model))
    ours = NpoCls(fit=loop, beta=0.7, retain_weight=0.0)(toy_task(model))
    assert torch.allclose(parameters(ours), parameters(ascended), rtol=0, atol=1e-6)


def test_later_steps_weigh_each_sample_by_what_it_has_forgotten(fit, parameters):
    """``d / d theta = -mean_i 2 sigmoid(beta (L0_i - L_i)) d L_i / d theta``, twice."""
    task, net, beta, lr = toy_task(), toy_task().model, 3.0, 0.4
    inputs, targets = forget_data(task)
    kept = task.retain.pool.pool.inputs[task.retain.index]
    start = F.cross_entropy(net(inputs), targets, reduction="none").detach()
    weights = []
    for _ in range(2):
        losses = F.cross_entropy(net(inputs), targets, reduction="none")
        weights.append(2 * torch.sigmoid(beta * (start - losses.detach())))
        keep = F.cross_entropy(net(kept), task.retain.targets)
        total = -(weights[-1] * losses).mean() + 0.5 * keep
        slopes = torch.autograd.grad(total, list(net.parameters()))
        moved = parameters(net) - lr * torch.cat([slope.flatten() for slope in slopes])
        torch.nn.utils.vector_to_parameters(moved, net.parameters())
    assert (weights[1] - weights[0]).abs().max() > 0.01
    loop = fit(lr=lr, epochs=2, batch_size=200)
    ours = NpoCls(fit=loop, beta=beta, retain_weight=0.5)(task)
    assert torch.allclose(parameters(ours), parameters(net), rtol=0, atol=1e-5)


def test_a_small_beta_is_ascent_beside_descent(fit, parameters):
    """Then it is ``L_retain - L_forget``: NegGrad+ at alpha 1/2 with twice the rate."""
    ours = NpoCls(fit=fit(lr=0.01), beta=1e-4)(toy_task())
    both = NegGradPlus(fit=fit(lr=0.02), alpha=0.5)(toy_task())
    assert torch.allclose(parameters(ours), parameters(both), rtol=0, atol=1e-5)
    assert not torch.allclose(parameters(ours), parameters(toy_task().model), rtol=0, atol=1e-3)


def test_it_is_bounded_where_ascent_is_not(fit):
    """What is forgotten is let go: at a rate at which ascent runs away the loss stays finite."""
    losses = []
    loop = fit(lr=0.5, epochs=30, batch_size=200)
    for method in (GradAscent(fit=loop), NpoCls(fit=loop, beta=5.0, retain_weight=0.0)):
        task = toy_task()
        net = method(task)
        inputs, targets = forget_data(task)
        losses.append(F.cross_entropy(net(inputs), targets).item())
    ascended, ours = losses
    assert 1.0 < ours < 0.01 * ascended


def test_the_forget_set_repeats_as_often_as_needed(fit):
    task = toy_task()
    NpoCls(fit=fit(epochs=2, batch_size=64))(task)
    reads = task.forget.pool.reads
    assert (reads[task.retain.index] == 2).all()
    # A pass for each of 3 retain batches in each of 2 epochs, and one of the reference.
    assert (reads[task.forget.index] == 2 * 3 + 1).all()


def test_several_labels_per_sample(fit, multilabel_task, parameters):
    """One step from the start is ascent on the mean binary cross-entropy."""
    task, net = multilabel_task(), multilabel_task().model
    inputs, targets = forget_data(task)
    loss = F.binary_cross_entropy_with_logits(net(inputs), targets.float())
    slopes = torch.autograd.grad(loss, list(net.parameters()))
    expected = parameters(net) + 0.3 * torch.cat([slope.flatten() for slope in slopes])
    ours = NpoCls(fit=fit(lr=0.3, epochs=1, batch_size=60), retain_weight=0.0)(task)
    assert torch.allclose(parameters(ours), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"beta": 0.0}, "beta must be > 0, got 0.0"),
        ({"beta": float("nan")}, "beta must be > 0, got nan"),
        ({"retain_weight": -1.0}, "retain_weight must be >= 0, got -1.0"),
    ],
)
def test_settings_are_checked(fit, setting, message):
    with pytest.raises(ConfigError, match=message):
        NpoCls(fit=fit(), **setting)
