"""SFRon: ascend on the weights that matter to the forget set, descend on the rest of the data."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count

import torch
from torch import Tensor, nn

from erasure.core.errors import ConfigError
from erasure.core.pool import Batch
from erasure.core.seeding import branch
from erasure.core.task import UnlearningTask
from erasure.training.fit import Fit, Loop, Objective
from erasure.training.passes import Pass, shuffled
from erasure.training.restrict import scaled_gradients
from erasure.unlearners.ssd import squared_importance, warn_of_one_batch

EPSILON = 1e-15
"""Added to both importances in their ratio; the authors' constant."""


@dataclass(frozen=True, kw_only=True)
class SFRon:
    r"""Alternate weighted, masked ascent on the forget set with descent on the retain set.

    The mask is :math:`m = [(I_f + \epsilon) / (I_r + \epsilon) \ge \gamma]` with importances I,
    the mean over batches of squared batch gradients of the original. Of n steps on the retain
    set, every ``every``-th step s is preceded by one on a forget batch that descends
    :math:`-a_s \sum_i w_i L_i` with :math:`a_s = \alpha (1 + \cos(\pi s / n)) / 2` and constants
    :math:`w_i \propto L_i^{-\lambda}` that sum to one; its gradient is masked, and clipped to
    ``fit.clip``. Steps on the retain set are plain. One optimizer serves both; a schedule steps
    with the retain set. One epoch is one pass over the retain set.

    Args:
        fit: Optimizer, epochs, and batch size of both parts and of the importances. ``clip``
            applies to forget steps alone.
        alpha: Weight of the ascent at the start, above 0.
        gamma: Threshold of the mask, at least 0; 0 masks nothing.
        adaptivity: The exponent lambda, at least 0: how much more samples count that are not
            forgotten yet; 0 weighs all the same.
        every: Number of retain steps per forget step, at least 1.
        equal_batches: Batches of the importances differ by at most one sample. ``False`` cuts them
            as the authors' code does, where a last batch of one sample counts as much as any.

    Passes:
        1, and a batch at every fifth retain step, over forget; 1 + E over retain.

    Deviations:
        Epochs instead of 1500 iterations; no averaging of slow weights (switched off in the
        authors' settings); batches of importances of equal size, see ``equal_batches``.

    References:
        Z. Huang, X. Cheng, J. Zheng, H. Wang, Z. He, T. Li and X. Huang, "Unified Gradient-Based
        Machine Unlearning with Remain Geometry Enhancement", NeurIPS 2024, arXiv:2409.19732.

    Notes:
        The authors count iterations, 1500 on CIFAR-10 (a little more than four passes over the
        retain set), here it is passes. Momentum and weight decay also act where the mask is 0, as
        in their code. Its averaging of slow weights is switched off in the settings it comes
        with, and left out.
    """

    fit: Fit
    alpha: float = 25.0
    gamma: float = 1.0
    adaptivity: float = 0.5
    every: int = 5
    equal_batches: bool = True

    def __post_init__(self) -> None:
        if not self.alpha > 0:
            raise ConfigError(f"alpha must be > 0, got {self.alpha}")
        for name in ("gamma", "adaptivity"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must be >= 0, got {getattr(self, name)}")
        if self.every < 1:
            raise ConfigError(f"every must be >= 1, got {self.every}")

    def __call__(self, task: UnlearningTask) -> nn.Module:
        size, augment = self.fit.batch_size, self.fit.augment
        masks = self._masks(task)
        retain = shuffled(task.retain, size, task.generator, augment=augment)
        aside = branch(task.generator, "sfron", "forget")
        # Endless: the forget set is usually the shorter one, and starts again in a new order.
        forget = _repeated(shuffled(task.forget, size, aside, augment=augment))
        steps = self.fit.epochs * retain.steps
        ascent, descent = self._loops(task.model, steps)
        done = 0
        for epoch in range(1, self.fit.epochs + 1):
            total = 0.0
            for batch in retain.start():
                # Counted over epochs, not within one: the first step of all is an ascent.
                if done % self.every == 0:
                    with scaled_gradients(task.model, masks):
                        ascent.run(_single(next(forget)), self._leave(task, done / steps))
                total += descent.run(_single(batch), task.objective)
                done += 1
            task.report(epoch, self.fit.epochs, loss=total / retain.steps)
        return task.model

    def _loops(self, model: nn.Module, steps: int) -> tuple[Loop, Loop]:
        """Return two loops of one optimizer: clipped, and under the schedule."""
        loop = self.fit.loop(model, steps)
        # They share the optimizer, and only the descent moves its rate along.
        return replace(loop, schedule=None), replace(loop, fit=replace(self.fit, clip=None))

    def _masks(self, task: UnlearningTask) -> Mapping[str, Tensor]:
        warn_of_one_batch(task.forget, self.fit.batch_size, "unlearner.fit.batch_size")
        forget, retain = (
            squared_importance(task, view, self.fit.batch_size, equal=self.equal_batches)
            for view in (task.forget, task.retain)
        )
        return {
            # Importance to forget over importance to retain; EPSILON keeps 0 / 0 at 1.
            name: (forget[name] + EPSILON) / (retain[name] + EPSILON) >= self.gamma
            for name in forget
        }

    def _leave(self, task: UnlearningTask, progress: float) -> Objective[Batch]:
        # Cosine annealing from alpha to 0 over all retain steps.
        weight = self.alpha * (1.0 + math.cos(math.pi * progress)) / 2.0

        def objective(model: nn.Module, batch: Batch) -> Tensor:
            losses = task.loss(model(batch.inputs), batch.targets)
            return -weight * (self._weights(losses.detach()) * losses).sum()

        return objective

    def _weights(self, losses: Tensor) -> Tensor:
        """Return ``losses ** -adaptivity`` (B,) divided by its sum, whatever its size."""
        # loss^-a over its sum is a softmax of -a log(loss), which neither over- nor underflows.
        logs = losses.clamp_min(torch.finfo(losses.dtype).tiny).log()
        return torch.softmax(-self.adaptivity * logs, dim=0)


def _repeated(batches: Pass[Batch]) -> Iterator[Batch]:
    """Visit forever, in a new order each time."""
    return (batch for _ in count() for batch in batches.start())


def _single(batch: Batch) -> Pass[Batch]:
    return Pass(1, lambda: iter([batch]))
