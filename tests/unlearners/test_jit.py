"""JiT against a plain loop of its own."""

from dataclasses import replace

import pytest
import torch

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import stream
from erasure.testing import toy_task
from erasure.unlearners.jit import JiT

MODELS = pytest.mark.parametrize("model", ["mlp", "cnn"])


def reference(task, *, lr, sigma, copies, zero_grad, size, epochs):
    """Steps of plain SGD written out, gradients set to zero between them or not."""
    model = task.model.eval()
    noise = stream(0, "unlearn")
    noise = stream(noise.initial_seed(), "jit", "noise")
    total = [torch.zeros_like(p) for p in model.parameters()]
    for _ in range(epochs):
        for x, _, _ in task.forget.batches(size, generator=task.generator):
            loss = 0.0
            for _ in range(copies):
                other = x + sigma * torch.randn(x.shape, generator=noise)
                other = other.clamp(x.min(), x.max())
                for i in range(len(x)):
                    out = (model(x)[i] - model(other)[i].detach()).norm()
                    loss = loss + out / (x[i] - other[i]).square().sum().sqrt() / copies
            slopes = torch.autograd.grad(loss, list(model.parameters()))
            total = (
                list(slopes) if zero_grad else [a + b for a, b in zip(total, slopes, strict=True)]
            )
            with torch.no_grad():
                for weight, slope in zip(model.parameters(), total, strict=True):
                    weight.sub_(lr * slope)
    return model


@MODELS
@pytest.mark.parametrize("zero_grad", [False, True])
def test_it_is_the_algorithm_of_the_paper(fit, parameters, model, zero_grad):
    settings = {"sigma": 0.3, "copies": 3, "zero_grad": zero_grad}
    loop = fit(lr=1e-3, epochs=2, batch_size=8, mode="eval")
    result = JiT(fit=loop, **settings)(toy_task(model))
    expected = reference(toy_task(model), lr=1e-3, size=8, epochs=2, **settings)
    assert (parameters(result) - parameters(expected)).abs().max() < 1e-5
    assert (parameters(result) - parameters(toy_task(model).model)).abs().max() > 1e-3


def test_setting_gradients_to_zero_matters_from_the_second_step_on(fit, parameters):
    def run(zero_grad, size):
        loop = fit(lr=1e-3, epochs=1, batch_size=size, mode="eval")
        return parameters(JiT(fit=loop, copies=2, zero_grad=zero_grad)(toy_task()))

    assert run(True, 32).equal(run(False, 32))
    assert not torch.allclose(run(True, 8), run(False, 8), rtol=0, atol=1e-4)


@MODELS
def test_a_rate_of_zero_is_the_identity(fit, model):
    task = toy_task(model)
    before = model_fingerprint(task.model)
    loop = fit(lr=0.0, mode="eval")
    assert model_fingerprint(JiT(fit=loop, copies=2)(task)) == before


def test_it_reads_neither_labels_nor_the_retain_set(fit):
    task, other = toy_task(), toy_task()
    other = replace(other, forget=other.forget.relabel((other.forget.targets + 1) % 4))
    loop = fit(lr=1e-3, epochs=2, mode="eval")
    same = [model_fingerprint(JiT(fit=loop, copies=2)(each)) for each in (task, other)]
    assert same[0] == same[1]
    reads = task.forget.pool.reads
    assert (reads[task.forget.index] == 2).all()
    assert int(reads.sum()) == 2 * 23


def test_no_hook_stays_behind(fit):
    task = toy_task()
    JiT(fit=fit(lr=1e-3, mode="eval"), copies=1)(task)
    assert not any(p._backward_hooks for p in task.model.parameters())


def test_it_works_with_many_labels(fit, multilabel_task):
    task = multilabel_task()
    before = model_fingerprint(task.model)
    assert model_fingerprint(JiT(fit=fit(lr=1e-3, mode="eval"), copies=2)(task)) != before


@pytest.mark.parametrize(
    "inputs", [torch.ones(4, 3).long(), {"tokens": torch.ones(4, 3)}, object()]
)
def test_inputs_without_noise_are_refused(fit, inputs):
    task = toy_task()

    class Pool:
        targets, task = toy_task().forget.targets, None

        @staticmethod
        def fetch(index, *, augment=None):
            return inputs

        def stream(self, batches, *, augment=None):
            return map(self.fetch, batches)

    view = replace(task.forget, pool=Pool(), index=torch.arange(4))
    with pytest.raises(UnsupportedError, match=r"noise to the inputs.*unlearner=lfssd"):
        JiT(fit=fit())(replace(task, forget=view))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"sigma": 0.0}, "sigma must be > 0, got 0.0"),
        ({"copies": 0}, "copies must be >= 1, got 0"),
    ],
)
def test_settings_are_checked(fit, setting, message):
    with pytest.raises(ConfigError, match=message):
        JiT(fit=fit(), **setting)
