"""Boundary shrink: give every forget sample the label on the other side of the boundary."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from erasure.core.errors import ConfigError
from erasure.core.splits import View
from erasure.core.task import UnlearningTask
from erasure.training.fit import Fit
from erasure.training.noise import input_range
from erasure.training.passes import shuffled
from erasure.unlearners.shared.requirements import require_continuous, require_one_label


@dataclass(frozen=True, kw_only=True)
class BoundaryShrink:
    r"""Descend the loss on the forget set under the labels of its nearest wrong classes.

    With the frozen original h, the new label of a sample is the class that h gives to
    :math:`clip(x + \epsilon\, sign(\nabla_x L(h(x), y)))`, clipped to the range of the forget
    set by channel of images or column of tables. One epoch is one pass over the forget set; the
    retain set is never read.

    Args:
        fit: Optimizer, epochs and batch size.
        epsilon: Size of the attack in units of the inputs, above 0. Where it is too small to
            reach another class the label stays, and the step *reinforces* the sample: the share
            of samples with a new label is reported as ``relabeled``.

    Passes:
        E + 2 over forget, 0 over retain.

    Deviations:
        Labels are computed once instead of every epoch; no rounding to 8 bits; no curvature term
        or sample weights.

    References:
        M. Chen, W. Gao, G. Liu, K. Peng and C. Wang, "Boundary Unlearning", CVPR 2023,
        arXiv:2303.11570.

    Notes:
        The labels depend on the original alone, so they are computed once and, as long as
        ``epsilon`` stays, once for a whole sweep; the authors' code attacks again in each epoch.
        With augmentation it attacks augmented inputs, here those of the pool.
        Ported code rounds attacked images to 8 bits; inputs of any scale are not rounded here.
        Its optional curvature penalty and sample weights are left out.
    """

    fit: Fit
    epsilon: float = 0.1

    def __post_init__(self) -> None:
        if not self.epsilon > 0:
            raise ConfigError(f"epsilon must be > 0, got {self.epsilon}")

    def __call__(self, task: UnlearningTask) -> nn.Module:
        require_one_label(task.forget, "boundary_shrink", "random_labels")
        require_continuous(task.forget, "boundary_shrink", "random_labels")
        labels = self._nearest(task)
        share = (labels != task.forget.targets).double().mean().item()

        def report(step: int, of: int, **values: float) -> None:
            task.report(step, of, relabeled=share, **values)

        moved = task.forget.relabel(labels)
        batches = shuffled(moved, self.fit.batch_size, task.generator, augment=self.fit.augment)
        return self.fit(task.model, batches, task.objective, report=report)

    def _nearest(self, task: UnlearningTask) -> Tensor:
        """Return the class ``(n,)`` of each forget sample after the attack."""
        low, high = input_range(task, task.forget)
        frozen = copy.deepcopy(task.model).eval().requires_grad_(requires_grad=False)

        def attacked(view: View) -> Iterator[Tensor]:
            for batch in view.batches(self.fit.batch_size):
                inputs = batch.inputs.clone().requires_grad_()
                with torch.enable_grad():
                    loss = task.loss(frozen(inputs), batch.targets).sum()
                # The sum, not the mean: the sign of a sample's slope must not depend on its batch.
                (slope,) = torch.autograd.grad(loss, [inputs])
                moved = batch.inputs + self.epsilon * slope.sign()
                # A range of one value, as of a single row of a table, says nothing about limits.
                moved = torch.where(high > low, moved.clamp(low, high), moved)
                yield frozen(moved).argmax(dim=-1)

        def compute() -> Mapping[str, Tensor]:
            return {"labels": torch.cat(list(attacked(task.forget)))}

        cached = task.cached("nearest_classes", task.forget, compute, epsilon=self.epsilon)
        return cached["labels"]
