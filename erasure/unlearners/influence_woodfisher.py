"""Influence unlearning with WoodFisher: one second-order step away from the forget set."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from erasure.core.errors import ConfigError
from erasure.core.fingerprint import tensor_fingerprint
from erasure.core.pool import Batch
from erasure.core.splits import View
from erasure.core.task import UnlearningTask
from erasure.training.gradients import summed_gradients
from erasure.training.per_sample.gradients import sample_gradients

BATCH_SIZE = 256
"""Samples per backward pass of a sum of gradients, which does not depend on it."""


@dataclass(frozen=True, kw_only=True)
class InfluenceWoodFisher:
    r"""Step by an estimate of how the optimum moves when the forget set loses its weight.

    With :math:`G_f, G_r` the sums of the gradients of single samples of forget and retain, in
    eval mode, and :math:`n = n_f + n_r`, the right-hand side is
    :math:`v = G_f / n - n_f G_r / (n n_r)`. From :math:`k = v` and :math:`o = g_1`, the gradient
    of a first retain sample, each further one g gives, with :math:`t = o \cdot g`,

    .. math:: k \leftarrow k - \frac{k \cdot g}{N + t} o, \quad o \leftarrow o - \frac{t}{N + t} o

    in float64, and finally :math:`\theta \leftarrow \theta + \alpha k`. Buffers are left alone.

    Args:
        alpha: Scale of the step, at least 0; its size depends on the level of the training loss,
            and so must be searched.
        samples: The constant N, and the largest number of retain samples after the first.
        max_norm: Trust region: a longer step is shortened to this L2 norm. None never does.

    Passes:
        1 over forget, 1 + a share over retain.

    Deviations:
        Recursion in float64; optional trust region ``max_norm``.

    References:
        P. W. Koh and P. Liang, ICML 2017; Z. Izzo et al., AISTATS 2021, arXiv:2002.10077;
        S. P. Singh and D. Alistarh, "WoodFisher", NeurIPS 2020, arXiv:2004.14340. The form is that
        of the code of OPTML-Group (Unlearn-Sparse).

    Notes:
        This is the recursion of that code. As ``o`` only ever shrinks, it stays a multiple of the
        first gradient, and ``k`` differs from ``v`` along that one direction: it is much less
        than the inverse of a Fisher matrix, and nearly a plain first-order step. Retain samples
        come in random order, as there.
    """

    alpha: float = 10.0
    samples: int = 1000
    max_norm: float | None = None

    def __post_init__(self) -> None:
        if not self.alpha >= 0:
            raise ConfigError(f"alpha must be >= 0, got {self.alpha}")
        if self.samples < 1:
            raise ConfigError(f"samples must be >= 1, got {self.samples}")
        if self.max_norm is not None and not self.max_norm > 0:
            raise ConfigError(f"max_norm must be > 0 or null, got {self.max_norm}")

    def __call__(self, task: UnlearningTask) -> nn.Module:
        step = self.alpha * self._direction(task)
        norm = float(step.norm())
        if self.max_norm is not None and norm > self.max_norm:
            step *= self.max_norm / norm
        task.report(1, 1, step_norm=float(step.norm()), uncapped_norm=norm)
        moving = [p for p in task.model.parameters() if p.requires_grad]
        with torch.no_grad():
            for weight, part in zip(moving, step.split([p.numel() for p in moving]), strict=True):
                weight.add_(part.view_as(weight))
        return task.model

    def _direction(self, task: UnlearningTask) -> Tensor:
        """Return ``k`` of all parameters, ``(P,)`` float64; it does not depend on alpha."""
        forget, retain = _summed(task, task.forget), _summed(task, task.retain)
        num_forget, num_retain = len(task.forget), len(task.retain)
        size = num_forget + num_retain
        # Gradient of the mean loss over all minus that over retain, rearranged to the two sums:
        # (F + R) / n - R / n_r = F / n - R n_f / (n n_r).
        start = forget / size - retain * num_forget / (size * num_retain)
        order = torch.randperm(num_retain, generator=task.generator)
        drawn = task.retain.take(order[: self.samples + 1])
        cached = task.cached(
            "woodfisher",
            drawn,
            lambda: {"k": self._recursion(task, drawn, start)},
            samples=self.samples,
            start=tensor_fingerprint(start),
        )
        return cached["k"]

    def _recursion(self, task: UnlearningTask, drawn: View, start: Tensor) -> Tensor:
        k, o = start.clone(), torch.empty(0)
        for chunk in sample_gradients(task.model, drawn, task.loss):
            for gradient in map(Tensor.double, chunk):
                # The first gradient starts the recursion; this is why samples + 1 are drawn.
                if len(o) == 0:
                    o = gradient
                    continue
                t = o @ gradient
                k -= (k @ gradient) / (self.samples + t) * o
                o -= t / (self.samples + t) * o
        return k


def _summed(task: UnlearningTask, view: View) -> Tensor:
    """Return the sum of the gradients of the samples of ``view``, ``(P,)`` float64."""

    def objective(model: nn.Module, batch: Batch) -> Tensor:
        return task.loss(model(batch.inputs), batch.targets).sum()

    sums = task.cached(
        "summed_gradients",
        view,
        lambda: summed_gradients(task.model, view, BATCH_SIZE, objective),
        objective="loss",
    )
    names = [name for name, p in task.model.named_parameters() if p.requires_grad]
    return torch.cat([sums[name].flatten() for name in names]).double()
