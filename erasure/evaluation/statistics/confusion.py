"""Counts of labels against predictions, on which measures per class are built."""

from dataclasses import dataclass

from torch import Tensor

from erasure.core.context import EvalContext
from erasure.evaluation.signals import predictions, require_multiclass


@dataclass(frozen=True)
class Confusion:
    """How many samples of each class are predicted as each class.

    Args:
        counts: ``(C, C)`` float64, rows are true classes.
        names: Names of the classes.
    """

    counts: Tensor
    names: tuple[str, ...]

    @property
    def totals(self) -> Tensor:
        """Samples of each class, ``(C,)``."""
        return self.counts.sum(dim=1)

    @property
    def occurs(self) -> Tensor:
        """Which classes have samples, ``(C,)`` bool."""
        return self.totals > 0

    @property
    def recalls(self) -> Tensor:
        """Share of each class that is predicted right, ``(C,)``; NaN for one without samples."""
        return self.counts.diagonal() / self.totals

    @property
    def f1(self) -> Tensor:
        """F1 of each class, ``(C,)``; NaN for one that neither occurs nor is predicted."""
        return 2 * self.counts.diagonal() / (self.totals + self.counts.sum(dim=0))

    def named(self, values: Tensor) -> dict[str, float]:
        """Return values ``(C,)`` of the classes that occur by name."""
        occurring = self.occurs.nonzero().squeeze(-1).tolist()
        return {self.names[c]: values[c].item() for c in occurring}


def confusion(ctx: EvalContext, part: str) -> Confusion:
    """Return the confusion matrix of the subject on a part.

    Raises:
        NotComputableError: If samples can have several labels, or there are no logits.
    """
    require_multiclass(ctx)
    names = ctx.splits.part(part).pool.class_names
    size = len(names)
    # A pair (true, predicted) as one number, counted at once.
    pairs = ctx.targets(part) * size + predictions(ctx, part)
    return Confusion(pairs.bincount(minlength=size**2).reshape(size, size).double(), names)
