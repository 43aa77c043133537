import pytest
import torch
import torch.nn.functional as F

from erasure.core.errors import ConfigError
from erasure.testing import toy_task
from erasure.unlearners.neggrad_plus import NegGradPlus


def test_one_step_is_the_one_worked_by_hand(fit, parameters):
    """``theta - lr * (alpha * grad L_retain - (1 - alpha) * grad L_forget)``."""
    task, reference = toy_task(), toy_task().model

    def slope(view):
        loss = F.cross_entropy(reference(view.pool.pool.fetch(view.index)), view.targets)
        result = torch.autograd.grad(loss, list(reference.parameters()))
        return torch.cat([part.flatten() for part in result])

    step = 0.8 * slope(task.retain) - 0.2 * slope(task.forget)
    expected = parameters(reference) - 0.5 * step
    ours = NegGradPlus(fit=fit(lr=0.5, epochs=1, batch_size=200), alpha=0.8)(task)
    assert torch.allclose(parameters(ours), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("size", "forget_size", "retain_batches", "forget_batches"),
    [(32, None, 6, 1), (32, 8, 6, 3), (16, 12, 11, 2), (64, 4, 3, 6)],
)
def test_the_forget_set_repeats_as_often_as_needed(
    fit, size, forget_size, retain_batches, forget_batches
):
    """177 samples to retain, 23 to forget; some are read one pass less when it does not divide.

    177 = 11 * 16 + 1: the single sample joins the batch before it, which leaves 11 batches.
    """
    task = toy_task()
    NegGradPlus(fit=fit(epochs=1, batch_size=size), forget_batch_size=forget_size)(task)
    reads = task.forget.pool.reads
    assert (reads[task.retain.index] == 1).all()
    most, whole = -(-retain_batches // forget_batches), retain_batches // forget_batches
    assert reads[task.forget.index].max() == most
    assert reads[task.forget.index].min() == whole


def test_each_step_takes_one_batch_of_each(fit):
    task = toy_task()
    NegGradPlus(fit=fit(epochs=2, batch_size=32))(task)
    reads = task.forget.pool.reads
    assert (reads[task.retain.index] == 2).all()
    assert (reads[task.forget.index] == 2 * 6).all()


def test_the_smaller_alpha_the_more_is_forgotten(fit):
    losses = []
    for alpha in (1.0, 0.95, 0.9):
        task = toy_task()
        model = NegGradPlus(fit=fit(lr=0.2, epochs=10), alpha=alpha)(task)
        logits = model(task.forget.pool.fetch(task.forget.index))
        losses.append(F.cross_entropy(logits, task.forget.targets).item())
    assert losses == sorted(losses)
    assert losses[2] > 2 * losses[0]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"alpha": -0.1}, r"alpha must be in \[0, 1\], got -0.1"),
        ({"alpha": 1.1}, r"alpha must be in \[0, 1\], got 1.1"),
        ({"alpha": float("nan")}, r"alpha must be in \[0, 1\], got nan"),
        ({"forget_batch_size": 0}, "forget_batch_size must be >= 1, got 0"),
    ],
)
def test_settings_are_checked(fit, setting, message):
    with pytest.raises(ConfigError, match=message):
        NegGradPlus(fit=fit(), **setting)
