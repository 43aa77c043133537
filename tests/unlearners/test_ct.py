from dataclasses import replace

import pytest
import torch
from torch import nn

from erasure.core.errors import UnsupportedError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import isolated
from erasure.testing import toy_task
from erasure.training.schedules import Cosine
from erasure.unlearners.ct import ConvolutionTranspose
from erasure.unlearners.finetune import Finetune


class Mixed(nn.Module):
    """Square, pointwise and oblong kernels, a norm and a head."""

    def __init__(self):
        super().__init__()
        self.square = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.point = nn.Conv2d(4, 4, 1)
        self.oblong = nn.Conv2d(4, 4, (1, 3), padding=(0, 1))
        self.head = nn.Linear(4, 4)

    def forward(self, inputs):
        return self.head(self.oblong(self.point(self.norm(self.square(inputs)))).mean((2, 3)))


@pytest.fixture
def mixed_task():
    with isolated(0, "mixed"):
        return replace(toy_task("cnn"), model=Mixed())


def test_only_square_kernels_are_mirrored(fit, mixed_task):
    before = {name: value.clone() for name, value in mixed_task.model.state_dict().items()}
    after = ConvolutionTranspose(fit=fit(epochs=0))(mixed_task).state_dict()
    kernel = before["square.weight"]
    for row in range(3):
        for column in range(3):
            assert after["square.weight"][:, :, row, column].equal(kernel[:, :, column, row])
    assert [name for name in before if not after[name].equal(before[name])] == ["square.weight"]


def test_twice_is_the_identity(fit, mixed_task):
    before = model_fingerprint(mixed_task.model)
    method = ConvolutionTranspose(fit=fit(epochs=0))
    method(mixed_task)
    assert model_fingerprint(mixed_task.model) != before
    method(mixed_task)
    assert model_fingerprint(mixed_task.model) == before


def test_the_rest_is_finetuning(fit):
    loop = fit(lr=0.01, momentum=0.9)
    mirrored = toy_task("cnn")
    ConvolutionTranspose(fit=fit(epochs=0))(mirrored)
    expected = Finetune(fit=loop)(mirrored)
    result = ConvolutionTranspose(fit=loop)(toy_task("cnn"))
    assert model_fingerprint(result) == model_fingerprint(expected)


def test_the_forget_set_is_not_read(fit):
    task = toy_task("cnn")
    ConvolutionTranspose(fit=fit(epochs=3))(task)
    reads = task.forget.pool.reads
    assert (reads[task.retain.index] == 3).all()
    assert int(reads.sum()) == 3 * len(task.retain)


def test_several_labels(fit, multilabel_task):
    with isolated(0, "labels"):
        image = [nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 4, 3, padding=1), nn.Flatten()]
        task = replace(multilabel_task(), model=nn.Sequential(*image, nn.Linear(16, 3)))
    before = model_fingerprint(task.model)
    model = ConvolutionTranspose(fit=fit())(task)
    assert model_fingerprint(model) != before
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_without_kernels_it_says_what_to_use(fit):
    with pytest.raises(UnsupportedError, match=r"square kernels.*use unlearner=prmq"):
        ConvolutionTranspose(fit=fit())(toy_task("mlp"))


def test_the_rate_falls_once_per_epoch(fit):
    """177 samples in batches of 60 are three steps; (1 + cos(pi e / 3)) / 2 = 1, 3/4, 1/4."""
    rates = []

    class Recording(torch.optim.SGD):
        def step(self, closure=None):
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    loop = replace(fit(Recording, lr=0.1, epochs=3, batch_size=60), schedule=Cosine(levels=3))
    ConvolutionTranspose(fit=loop)(toy_task("cnn"))
    assert rates == pytest.approx([0.1] * 3 + [0.075] * 3 + [0.025] * 3)
