"""Negative preference optimization for classification: gradient ascent that knows when to stop."""

import copy
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from erasure.core.errors import ConfigError
from erasure.core.pool import Batch
from erasure.core.task import UnlearningTask
from erasure.training.fit import Fit
from erasure.training.passes import paired
from erasure.training.teachers import TeacherTarget, teacher_logits


@dataclass(frozen=True, kw_only=True)
class NpoCls:
    r"""Minimize :math:`\frac{2}{\beta} mean\, softplus(\beta (L_0 - L)) + w\, L_{retain}`.

    :math:`L` is the loss of a forget sample and :math:`L_0` that under the frozen original, in
    eval mode. The gradient of the first term is that of ascent with every sample weighted by
    :math:`2 \sigma(\beta (L_0 - L))`: 1 at the start, and 0 for samples that are forgotten. The
    term is bounded below by 0 and starts at :math:`(2 / \beta) \ln 2` (in ``eval`` mode). One
    epoch is one pass over the retain set; the forget set repeats as often as needed.

    Args:
        fit: Optimizer, epochs, and batch size of both parts.
        beta: Above 0; the smaller, the closer to plain ascent.
        retain_weight: Weight w of the retain loss, at least 0.

    Passes:
        E times what it takes, + 1 over forget, E over retain.

    Deviations:
        No published results for classifiers.

    References:
        After R. Zhang, L. Lin, Y. Bai and S. Mei, "Negative Preference Optimization", COLM 2024,
        arXiv:2404.05868, which is about language models. This form for classifiers is our own;
        there are no published results for it.
    """

    fit: Fit
    beta: float = 0.1
    retain_weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise ConfigError(f"beta must be > 0, got {self.beta}")
        if not self.retain_weight >= 0:
            raise ConfigError(f"retain_weight must be >= 0, got {self.retain_weight}")

    def __call__(self, task: UnlearningTask) -> nn.Module:
        reference = copy.deepcopy(task.model).eval().requires_grad_(requires_grad=False)
        target = TeacherTarget(reference, task.forget, "original")
        reference_logits = teacher_logits(task, [target], augment=self.fit.augment)

        def objective(model: nn.Module, pair: tuple[Batch, Batch]) -> Tensor:
            keep, drop = pair
            before = task.loss(reference_logits(drop), drop.targets)
            # Falls as the sample is forgotten; softplus flattens there, and so does the ascent.
            gain = before - task.loss(model(drop.inputs), drop.targets)
            forget = 2.0 / self.beta * F.softplus(self.beta * gain).mean()
            return forget + self.retain_weight * task.objective(model, keep)

        pairs = paired(
            task.retain,
            task.forget,
            self.fit.batch_size,
            task.generator,
            augment=self.fit.augment,
        )
        return self.fit(task.model, pairs, objective, report=task.report)
