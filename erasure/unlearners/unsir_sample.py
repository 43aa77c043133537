"""UNSIR for samples: teach noise that is unlike the forget set the labels of the retain set."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from erasure.core.pool import Batch
from erasure.core.seeding import branch
from erasure.core.task import UnlearningTask
from erasure.training.fit import Fit
from erasure.training.noise import NoiseSearch, in_mode, input_range
from erasure.training.passes import paired
from erasure.unlearners.shared.requirements import require_continuous


@dataclass(frozen=True, kw_only=True)
class UnsirSample:
    r"""Descend :math:`L(f(N), y_{retain}) + L(f(x_{retain}), y_{retain})`.

    For every pair of a retain and a forget batch new noise N of the shape of the forget batch,
    standard normal at first, *maximizes* the mean squared difference of :math:`f(N)` and
    :math:`f(x_{forget})`, and is clamped to the range of the data. Labels of the forget set are
    not used. One epoch is one pass over the retain set; the forget set repeats as often as
    needed. The second stage of the method is fine-tuning, for which the YAML file has a cascade.

    Args:
        fit: Optimizer, epochs and batch size of both parts.
        search: How the noise is found. The authors leave the network in ``train`` mode meanwhile.

    Passes:
        E times what it takes over forget, 2E + 1 over retain.

    Deviations:
        Search in eval mode; clamped to the data's range, not [0, 1]; uneven pairs are not skipped.

    References:
        D. Choi and D. Na, "Towards Machine Unlearning Benchmarks: Forgetting the Personal
        Identities in Facial Recognition Systems", 2023, arXiv:2311.02240, after A. Tarun et al.,
        IEEE TNNLS 2023, arXiv:2111.08947.

    Notes:
        The authors clamp to [0, 1], which presumes pixels that are not normalized; here the range
        is that of the retain set, by channel of images or column of tables. Pairs of batches of
        unequal sizes, which the authors skip, are used: the labels of the retain batch repeat, or
        end early, along the noise.
        Nothing in the loss pushes against the forget set itself, and the authors' own results
        show little forgetting.
    """

    fit: Fit
    search: NoiseSearch

    def __call__(self, task: UnlearningTask) -> nn.Module:
        require_continuous(task.retain, "unsir_sample", "random_labels")
        low, high = input_range(task, task.retain)
        aside = branch(task.generator, "unsir_sample", "noise")

        def objective(model: nn.Module, pair: tuple[Batch, Batch]) -> Tensor:
            keep, drop = pair
            noise = self._unlike(model, drop.inputs, aside).clamp(low, high)
            # The retain batch may be the smaller one: its labels start again.
            labels = keep.targets[torch.arange(len(noise)) % len(keep.targets)]
            return task.loss(model(noise), labels).mean() + task.objective(model, keep)

        pairs = paired(
            task.retain,
            task.forget,
            self.fit.batch_size,
            task.generator,
            augment=self.fit.augment,
        )
        return self.fit(task.model, pairs, objective, report=task.report)

    def _unlike(self, model: nn.Module, inputs: Tensor, generator: Generator) -> Tensor:
        """Return noise ``(B, ...)`` whose logits are far from those of ``inputs``."""
        start = torch.randn(inputs.shape, generator=generator).to(inputs)
        with in_mode(model, self.search.mode), torch.no_grad():
            logits = model(inputs)
        return self.search(model, start, lambda noise: -F.mse_loss(model(noise), logits))
