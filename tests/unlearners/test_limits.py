"""At the edge of a setting one method becomes another, bit for bit."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from erasure.core.fingerprint import model_fingerprint
from erasure.testing import toy_task
from erasure.training.passes import paired
from erasure.unlearners.finetune import Finetune
from erasure.unlearners.grad_ascent import GradAscent
from erasure.unlearners.identity import Identity
from erasure.unlearners.neggrad_plus import NegGradPlus
from erasure.unlearners.retrain import Retrain
from erasure.unlearners.scrub import Scrub

MODELS = pytest.mark.parametrize("model", ["mlp", "cnn"])


@MODELS
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_neggrad_plus_of_the_retain_loss_alone_is_finetuning(fit, parameters, model, optimizer):
    loop = fit(optimizer, lr=0.01, weight_decay=5e-4)
    tuned = Finetune(fit=loop)(toy_task(model))
    ours = NegGradPlus(fit=loop, alpha=1.0)(toy_task(model))
    assert parameters(ours).equal(parameters(tuned))
    assert not parameters(ours).equal(parameters(toy_task(model).model))


def test_but_batch_normalization_has_seen_the_forget_set(fit, statistics):
    tuned = Finetune(fit=fit())(toy_task("cnn"))
    ours = NegGradPlus(fit=fit(), alpha=1.0)(toy_task("cnn"))
    assert (statistics(ours) - statistics(tuned)).abs().max() > 1e-3


@pytest.mark.parametrize("mode", ["eval", "frozen_norm"])
def test_unless_its_statistics_are_frozen(fit, mode):
    tuned = Finetune(fit=fit(mode=mode))(toy_task("cnn"))
    ours = NegGradPlus(fit=fit(mode=mode), alpha=1.0)(toy_task("cnn"))
    assert model_fingerprint(ours) == model_fingerprint(tuned)


@MODELS
def test_neggrad_plus_of_the_forget_loss_alone_is_gradient_ascent(fit, parameters, model):
    """With one batch per epoch on either side, an epoch is one step of both."""
    loop = fit(lr=0.01, epochs=3, batch_size=200, mode="eval")
    ascent = GradAscent(fit=loop)(toy_task(model))
    ours = NegGradPlus(fit=loop, alpha=0.0)(toy_task(model))
    assert torch.allclose(parameters(ours), parameters(ascent), rtol=0, atol=1e-6)
    assert not torch.allclose(
        parameters(ours), parameters(toy_task(model).model), rtol=0, atol=1e-4
    )


@MODELS
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_advanced_neggrad_is_neggrad_plus_at_half_and_twice_the_rate(
    fit, parameters, model, momentum
):
    """With SGD and no weight decay ``2 lr * (R - F) / 2 = lr * (R - F)``, exact in binary."""
    task = toy_task(model)
    pairs = paired(task.retain, task.forget, 32, task.generator, augment=False)

    def unit_weights(net, pair):
        keep, drop = (F.cross_entropy(net(batch.inputs), batch.targets) for batch in pair)
        return keep - drop

    advanced = fit(lr=0.01, momentum=momentum)(task.model, pairs, unit_weights)
    ours = NegGradPlus(fit=fit(lr=0.02, momentum=momentum), alpha=0.5)(toy_task(model))
    assert parameters(ours).equal(parameters(advanced))


@MODELS
def test_scrub_without_divergence_is_finetuning(fit, model):
    loop = fit()
    tuned = Finetune(fit=loop)(toy_task(model))
    ours = Scrub(fit=loop, msteps=0, alpha=0.0)(toy_task(model))
    assert model_fingerprint(ours) == model_fingerprint(tuned)


@MODELS
@pytest.mark.parametrize("method", [Finetune, GradAscent, NegGradPlus, Scrub])
def test_no_epochs_change_nothing(fit, model, method):
    task = toy_task(model)
    before = model_fingerprint(task.model)
    assert model_fingerprint(method(fit=fit(epochs=0))(task)) == before


@MODELS
def test_identity_changes_nothing(model):
    task = toy_task(model)
    before = copy.deepcopy(task.model.state_dict())
    after = Identity()(task).state_dict()
    assert all(after[name].equal(before[name]) for name in before)


@MODELS
def test_retraining_without_a_forget_set_is_the_original(model):
    task = toy_task(model)
    nothing, everything = task.forget.take(torch.arange(0)), task.retain + task.forget
    retrained = Retrain()(replace(task, forget=nothing, retain=everything))
    assert model_fingerprint(retrained) == model_fingerprint(task.model)
    assert model_fingerprint(Retrain()(task)) != model_fingerprint(task.model)
