import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from erasure.core.errors import ConfigError
from erasure.core.fingerprint import model_fingerprint
from erasure.testing import toy_task
from erasure.training.scoring import accuracy
from erasure.unlearners.advanced_neggrad import AdvancedNegGrad
from erasure.unlearners.neggrad_plus import NegGradPlus

MODELS = pytest.mark.parametrize("model", ["mlp", "cnn"])


def test_one_step_is_the_one_worked_by_hand(fit, parameters):
    """``theta - lr * (grad L_retain - grad L_forget)``, each a mean over its own batch."""
    task, reference = toy_task(), toy_task().model

    def slope(view):
        loss = F.cross_entropy(reference(view.pool.pool.fetch(view.index)), view.targets)
        result = torch.autograd.grad(loss, list(reference.parameters()))
        return torch.cat([part.flatten() for part in result])

    expected = parameters(reference) - 0.5 * (slope(task.retain) - slope(task.forget))
    ours = AdvancedNegGrad(fit=fit(lr=0.5, epochs=1, batch_size=200))(task)
    assert torch.allclose(parameters(ours), expected, rtol=0, atol=1e-6)


@MODELS
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_it_is_neggrad_plus_at_half_and_twice_the_rate(fit, model, momentum, mode):
    """``2 lr * (R - F) / 2 = lr * (R - F)``, exact in binary."""
    loop = fit(lr=0.01, momentum=momentum, mode=mode)
    twice = fit(lr=0.02, momentum=momentum, mode=mode)
    ours = AdvancedNegGrad(fit=loop)(toy_task(model))
    other = NegGradPlus(fit=twice, alpha=0.5)(toy_task(model))
    assert model_fingerprint(ours) == model_fingerprint(other)
    assert model_fingerprint(ours) != model_fingerprint(toy_task(model).model)


def test_no_pair_is_skipped_when_the_forget_set_is_smaller_than_a_batch(fit):
    """177 samples to retain in batches of 64 are 3 pairs; 23 to forget are one batch in each."""
    task = toy_task()
    AdvancedNegGrad(fit=fit(lr=1e-3, epochs=2, batch_size=64))(task)
    reads = task.forget.pool.reads
    assert (reads[task.retain.index] == 2).all()
    assert (reads[task.forget.index] == 6).all()


@pytest.mark.parametrize("stop", ["val", "chance"])
def test_it_stops_after_the_first_epoch_that_has_forgotten_enough(fit, stop):
    seen = []
    task = toy_task()
    level = 0.25 if stop == "chance" else None

    def report(step, of, **values):
        target = level if level is not None else accuracy(task.model, task.val)
        seen.append(accuracy(task.model, task.forget) <= target)

    AdvancedNegGrad(fit=fit(lr=0.1, epochs=60), stop=stop)(replace(task, report=report))
    assert 1 < len(seen) < 60
    assert seen == [False] * (len(seen) - 1) + [True]


def test_it_reports_its_loss_per_epoch(fit):
    curve = []
    task = replace(toy_task(), report=lambda step, of, **values: curve.append((step, of, values)))
    AdvancedNegGrad(fit=fit(lr=1e-3))(task)
    assert [entry[:2] for entry in curve] == [(1, 2), (2, 2)]
    assert all(math.isfinite(entry[2]["loss"]) for entry in curve)


def test_sets_of_labels_take_the_loss_of_their_kind(fit, multilabel_task, parameters):
    task, reference = multilabel_task(), multilabel_task().model

    def slope(view):
        logits = reference(view.pool.pool.fetch(view.index))
        loss = F.binary_cross_entropy_with_logits(logits, view.targets.float())
        result = torch.autograd.grad(loss, list(reference.parameters()))
        return torch.cat([part.flatten() for part in result])

    expected = parameters(reference) - 0.5 * (slope(task.retain) - slope(task.forget))
    ours = AdvancedNegGrad(fit=fit(lr=0.5, epochs=1, batch_size=64))(task)
    assert torch.allclose(parameters(ours), expected, rtol=0, atol=1e-6)


def test_settings_are_checked(fit):
    with pytest.raises(ConfigError, match="stop must be never, val or chance, got 'test'"):
        AdvancedNegGrad(fit=fit(), stop="test")
