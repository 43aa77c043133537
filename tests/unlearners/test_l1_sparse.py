import pytest
import torch
import torch.nn.functional as F

from erasure.core.errors import ConfigError
from erasure.core.fingerprint import model_fingerprint
from erasure.testing import toy_task
from erasure.unlearners.finetune import Finetune
from erasure.unlearners.l1_sparse import L1Sparse

MODELS = pytest.mark.parametrize("model", ["mlp", "cnn"])


@MODELS
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_without_a_penalty_it_is_finetuning(fit, model, optimizer):
    loop = fit(optimizer, lr=0.01, weight_decay=5e-4)
    tuned = model_fingerprint(Finetune(fit=loop)(toy_task(model)))
    assert model_fingerprint(L1Sparse(fit=loop, alpha=0.0)(toy_task(model))) == tuned
    assert model_fingerprint(L1Sparse(fit=loop, alpha=0.1, tail=2)(toy_task(model))) == tuned
    assert model_fingerprint(L1Sparse(fit=loop, alpha=0.1)(toy_task(model))) != tuned


@pytest.mark.parametrize(
    ("tail", "weights"),
    [
        (0, [0.01, 0.0075, 0.005, 0.0025]),  # 0.01 * (1 - e / 4)
        (1, [0.01, 0.01 * 2 / 3, 0.01 / 3, 0.0]),  # 0.01 * (1 - e / 3), then none
        (2, [0.01, 0.005, 0.0, 0.0]),
    ],
)
@MODELS
def test_it_is_the_plain_loop_with_a_weight_that_falls(fit, model, tail, weights):
    """The gradient of ``a * sum |w|`` is ``a * sign(w)``, for biases and norms as well."""
    task = toy_task(model)
    net = task.model.train()
    for weight in weights:
        for batch in task.retain.batches(64, generator=task.generator):
            loss = F.cross_entropy(net(batch.inputs), batch.targets)
            slopes = torch.autograd.grad(loss, list(net.parameters()))
            for parameter, slope in zip(net.parameters(), slopes, strict=True):
                parameter.detach().sub_(0.05 * (slope + weight * parameter.detach().sign()))
    loop = fit(epochs=4, batch_size=64)
    ours = L1Sparse(fit=loop, alpha=0.01, tail=tail)(toy_task(model)).state_dict()
    for name, value in net.state_dict().items():
        assert torch.allclose(ours[name], value, rtol=0, atol=1e-6), name


@MODELS
def test_it_shrinks_weights_but_leaves_none_at_zero(fit, parameters, model):
    tuned = parameters(Finetune(fit=fit())(toy_task(model)))
    ours = parameters(L1Sparse(fit=fit(), alpha=0.01)(toy_task(model)))
    assert ours.abs().sum() < 0.98 * tuned.abs().sum()
    assert int((ours == 0).sum()) == int((tuned == 0).sum())


def test_the_retain_set_is_read_once_per_epoch_and_nothing_else(fit):
    task = toy_task()
    L1Sparse(fit=fit(epochs=3))(task)
    reads = task.forget.pool.reads
    assert (reads[task.retain.index] == 3).all()
    assert int(reads.sum()) == 3 * 177


def test_sets_of_labels_take_the_loss_of_their_kind(fit, multilabel_task, parameters):
    task, net = multilabel_task(), multilabel_task().model
    logits = net(task.retain.pool.pool.fetch(task.retain.index))
    loss = F.binary_cross_entropy_with_logits(logits, task.retain.targets.float())
    slopes = torch.autograd.grad(loss, list(net.parameters()))
    before = parameters(net)
    slope = torch.cat([part.flatten() for part in slopes]) + 0.01 * before.sign()
    ours = L1Sparse(fit=fit(lr=0.5, epochs=1, batch_size=64), alpha=0.01)(task)
    assert torch.allclose(parameters(ours), before - 0.5 * slope, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"alpha": -1e-4}, "alpha must be >= 0, got -0.0001"),
        ({"alpha": float("nan")}, "alpha must be >= 0, got nan"),
        ({"tail": -1}, r"tail must be in \[0, fit.epochs\], got -1"),
        ({"tail": 3}, r"tail must be in \[0, fit.epochs\], got 3"),
    ],
)
def test_settings_are_checked(fit, setting, message):
    with pytest.raises(ConfigError, match=message):
        L1Sparse(fit=fit(), **setting)
