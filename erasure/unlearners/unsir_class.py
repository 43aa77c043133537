"""UNSIR for whole classes: impair with noise that stands for a class, then repair."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.pool import Batch
from erasure.core.splits import View
from erasure.core.task import UnlearningTask
from erasure.training.fit import Fit
from erasure.training.noise import NoiseSearch, input_range
from erasure.training.passes import Pass, shuffled
from erasure.unlearners.shared.requirements import require_continuous, require_one_label


@dataclass(frozen=True, kw_only=True)
class Impair:
    r"""Learn noise that is far from a forgotten class, then train on it as if it were that class.

    For each forgotten class c a batch of noise N, standard normal at first, minimizes
    :math:`-L(f(N), c) + \lambda\, mean_i ||N_i||^2` by Adam with the weights fixed. Then the
    network descends the loss on ``copies`` of the noise, labeled c, mixed with some samples of
    each retained class. One epoch is one pass over all of these. Of the forget set only the
    class numbers are used.

    Args:
        fit: Optimizer, epochs and batch size of the training.
        search: How the noise is found. The authors leave the network in ``train`` mode
            meanwhile, which lets the noise into the statistics of batch normalization.
        noise_size: Samples of noise per class, at least 1.
        penalty: The weight lambda, at least 0; large values keep the noise close to zero.
        copies: How often each sample of noise is in the training set, at least 1.
        per_class: Number of retained samples per class, at least 1; the first ones are taken.
        clamp: Clamp the noise, once found, to the range of the retained samples, by channel of
            images or column of tables. The authors do not.

    Passes:
        0 over forget, 3 of up to 1000 per class over retain.

    Deviations:
        Noise is searched in eval mode and clamped to the data's range (switches); each class keeps
        its own label.

    References:
        A. Tarun, V. Chundawat, M. Mandal and M. Kankanhalli, "Fast Yet Effective Machine
        Unlearning", IEEE TNNLS 2023, arXiv:2111.08947.

    Notes:
        The authors' notebook labels the noise of all classes with one of them, which is a mistake
        when several are forgotten; here each has its own.
    """

    fit: Fit
    search: NoiseSearch
    noise_size: int = 256
    penalty: float = 0.1
    copies: int = 20
    per_class: int = 1000
    clamp: bool = True

    def __post_init__(self) -> None:
        if not self.penalty >= 0:
            raise ConfigError(f"penalty must be >= 0, got {self.penalty}")
        for name in ("noise_size", "copies", "per_class"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")

    def __call__(self, task: UnlearningTask) -> nn.Module:
        _require_whole_classes(task)
        keep = _first(task.retain, self.per_class)
        require_continuous(keep, "unsir_class", "random_labels")
        batches = self._mixed(task, self._noise(task, keep), keep)
        return self.fit(task.model, batches, task.objective, report=task.report)

    def _noise(self, task: UnlearningTask, keep: View) -> tuple[Tensor, Tensor]:
        """Return the noise of all forgotten classes and its labels."""
        classes = task.forget.targets.unique()
        noise = torch.cat([self._searched(task, label) for label in classes])
        if self.clamp:
            noise = noise.clamp(*input_range(task, keep))
        return noise, classes.repeat_interleave(self.noise_size)

    def _searched(self, task: UnlearningTask, label: Tensor) -> Tensor:
        shape = (self.noise_size, *task.retain.pool.input_shape)
        start = torch.randn(shape, generator=task.generator).to(label.device)

        def objective(noise: Tensor) -> Tensor:
            loss = task.loss(task.model(noise), label.expand(len(noise))).mean()
            return -loss + self.penalty * noise.square().flatten(1).sum(dim=1).mean()

        return self.search(task.model, start, objective)

    def _mixed(
        self, task: UnlearningTask, noise: tuple[Tensor, Tensor], keep: View
    ) -> Pass[Batch]:
        """Shuffle copies of the noise and samples of ``keep`` into batches of about one size."""
        inputs, labels = noise
        copied = self.copies * len(labels)
        steps = math.ceil((copied + len(keep)) / self.fit.batch_size)
        # Noise is never augmented, only the real samples of a batch.
        drawn = task.generator if self.fit.augment else None

        def start() -> Iterator[Batch]:
            order = torch.randperm(copied + len(keep), generator=task.generator)
            for indices in order.to(labels.device).tensor_split(steps):
                # Indices below `copied` are copies of the noise, the others samples. Noise has no
                # id, hence -1.
                made = indices[indices < copied] % len(labels)
                real = keep.take(indices[indices >= copied] - copied)
                fetched = keep.pool.fetch(real.index, augment=drawn)
                yield Batch(
                    torch.cat([inputs[made], fetched]),
                    torch.cat([labels[made], real.targets]),
                    torch.cat([torch.full_like(made, -1), real.index]),
                )

        return Pass(steps, start)


@dataclass(frozen=True, kw_only=True)
class Repair:
    """Train on the retained samples that :class:`Impair` used: its second half, after it.

    Args:
        fit: Optimizer, epochs and batch size. One epoch is one pass over these samples.
        per_class: Number of samples per class, at least 1; the first ones are taken.

    References:
        A. Tarun et al., IEEE TNNLS 2023, arXiv:2111.08947.
    """

    fit: Fit
    per_class: int = 1000

    def __post_init__(self) -> None:
        if self.per_class < 1:
            raise ConfigError(f"per_class must be >= 1, got {self.per_class}")

    def __call__(self, task: UnlearningTask) -> nn.Module:
        require_one_label(task.retain, "unsir_class", "unsir_sample")
        keep = _first(task.retain, self.per_class)
        batches = shuffled(keep, self.fit.batch_size, task.generator, augment=self.fit.augment)
        return self.fit(task.model, batches, task.objective, report=task.report)


def _require_whole_classes(task: UnlearningTask) -> None:
    require_one_label(task.retain, "unsir_class", "unsir_sample")
    left = int(torch.isin(task.retain.targets, task.forget.targets).sum())
    if left:
        raise UnsupportedError(
            f"unsir_class forgets whole classes, and {left} samples to retain are of a class in "
            f"the forget set; use split=class with split.share=1, or unlearner=unsir_sample"
        )


def _first(view: View, count: int) -> View:
    """Return the first ``count`` samples of each class, in the order of ``view``."""
    classes = view.targets.unique()
    indices = [(view.targets == label).nonzero().flatten()[:count] for label in classes]
    return view.take(torch.cat(indices).sort().values)
