"""Loss-free SSD: dampening by the sensitivity of the outputs, without labels."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from erasure.core.pool import Batch
from erasure.core.splits import View
from erasure.core.task import UnlearningTask
from erasure.training.gradients import mean_absolute_gradients
from erasure.unlearners.ssd import check_dampening, dampen, training_set, warn_of_one_batch


@dataclass(frozen=True, kw_only=True)
class LFSSD:
    r"""Dampen like SSD, by an importance that needs no labels.

    The importance of each weight to a set S is the mean over batches of the magnitude (not the
    square) of the gradient of :math:`\frac{1}{B} \sum_i \|f(x_i)\|_2^2`, the mean squared norm of
    the logits, in eval mode. The edit is that of SSD: weights with :math:`f > \alpha d` are
    multiplied by :math:`\min(\lambda d / f, 1)`.

    Args:
        alpha: How many times more important to the forget set a selected weight must be, above 0.
        dampening: The constant :math:`\lambda`, above 0; smaller dampens more.
        batch_size: Samples per batch of both importances; part of the method.
        equal_batches: Batches whose sizes differ by at most one. ``False`` cuts them as the
            authors' code does, where a last batch of one sample counts as much as any other.

    Passes:
        2 over forget, 1 over retain.

    Deviations:
        As ``ssd``.

    References:
        J. Foster, S. Schoepf and A. Brintrup, "Loss-Free Machine Unlearning", 2024,
        arXiv:2402.19308.

    Notes:
        Magnitudes differ less between sets than squares do: at one ``alpha`` fewer weights are
        selected than by SSD.
    """

    alpha: float = 10.0
    dampening: float = 1.0
    batch_size: int = 128
    equal_batches: bool = True

    def __post_init__(self) -> None:
        check_dampening(self.alpha, self.dampening, self.batch_size)

    def __call__(self, task: UnlearningTask) -> nn.Module:
        warn_of_one_batch(task.forget, self.batch_size)
        whole = self._importance(task, training_set(task))
        forget = self._importance(task, task.forget)
        share = dampen(task.model, forget, whole, self.alpha, self.dampening)
        task.report(1, 1, share_dampened=share)
        return task.model

    def _importance(self, task: UnlearningTask, view: View) -> Mapping[str, Tensor]:
        # Neither alpha nor the dampening is in the key: one importance serves a whole sweep.
        return task.cached(
            "mean_absolute_gradients",
            view,
            lambda: mean_absolute_gradients(
                task.model, view, self.batch_size, squared_norm, equal=self.equal_batches
            ),
            objective="squared_norm",
            batch_size=self.batch_size,
            equal_batches=self.equal_batches,
        )


def squared_norm(model: nn.Module, batch: Batch) -> Tensor:
    """Return the mean over the batch of the squared norm of the logits, a scalar."""
    logits: Tensor = model(batch.inputs)
    return logits.square().sum(dim=-1).mean()
