"""How much two classes whose labels were swapped are still taken for one another."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.metric import Parts, Value, amount, share
from erasure.core.values import MetricValue, NotComputableError
from erasure.evaluation.signals import predictions, require_multiclass
from erasure.evaluation.statistics.estimates import proportion


@dataclass(frozen=True, kw_only=True)
class InterclassConfusion:
    """Errors in, and between, the two classes that ``split=confusion`` swapped labels of.

    ``ic_err`` is the share of the samples of the two classes that are predicted wrongly, and
    ``fgt_err`` the number of those that are taken for the other of the two. On held-out samples
    they say whether what the swapped labels taught is gone, on the retain set whether other
    samples of these classes suffered. The retrained model is what to compare with.

    References:
        S. Goel et al., "Towards Adversarial Evaluations for Inexact Machine Unlearning", 2022,
        arXiv:2201.06640; M. Kurmanji et al., "Towards Unbounded Machine Unlearning",
        NeurIPS 2023, arXiv:2302.09880.
    """

    def values(self, parts: Parts) -> Mapping[str, Value]:
        values = {}
        for part in ("retain", parts.heldout):
            wrong = f"Share of wrong predictions in the two swapped classes, {part} set."
            taken = f"Samples taken for the other of the swapped classes, {part} set."
            prefix = f"interclass_confusion/{part}"
            values[f"{prefix}/ic_err"] = Value(
                share("min", wrong), partial(_share_of_errors, part=part)
            )
            values[f"{prefix}/fgt_err"] = Value(
                amount("min", taken, unit="samples"), partial(_mutual_errors, part=part)
            )
        return values


class PairErrors(NamedTuple):
    """What became of the samples of two classes.

    Args:
        errors: Samples that are predicted wrongly.
        mutual: Those of them that are taken for the other of the two classes.
        total: Samples of the two classes.
    """

    errors: int
    mutual: int
    total: int


def swapped_classes(ctx: EvalContext) -> tuple[int, int]:
    """Return the two classes whose labels were swapped.

    Raises:
        NotComputableError: If none were.
    """
    require_multiclass(ctx)
    if ctx.splits.scenario.get("kind") != "confusion":
        raise NotComputableError("skipped", "needs_confusion")
    first, second = ctx.splits.scenario["classes"]
    return first, second


def confusion_matrix(targets: Tensor, predicted: Tensor, num_classes: int) -> Tensor:
    """Return how often each class (rows) is predicted as each (columns), ``(C, C)`` int64."""
    # A pair of classes is one number in [0, C^2), so that one count does it.
    pairs = targets * num_classes + predicted
    return pairs.bincount(minlength=num_classes**2).view(num_classes, num_classes)


def errors_of_pair(matrix: Tensor, first: int, second: int) -> PairErrors:
    """Return the errors in two classes of a confusion matrix ``(C, C)``."""
    total = int(matrix[[first, second]].sum().item())
    right = int((matrix[first, first] + matrix[second, second]).item())
    mutual = int((matrix[first, second] + matrix[second, first]).item())
    return PairErrors(total - right, mutual, total)


def _errors(ctx: EvalContext, part: str) -> PairErrors:
    first, second = swapped_classes(ctx)
    matrix = confusion_matrix(ctx.targets(part), predictions(ctx, part), ctx.num_classes)
    pair = errors_of_pair(matrix, first, second)
    if pair.total == 0:
        raise NotComputableError("degenerate", "no_samples_of_classes")
    return pair


def _share_of_errors(ctx: EvalContext, part: str) -> MetricValue:
    pair = _errors(ctx, part)
    return proportion(pair.errors, pair.total)


def _mutual_errors(ctx: EvalContext, part: str) -> MetricValue:
    pair = _errors(ctx, part)
    extras = {"share": pair.mutual / pair.total}
    return MetricValue(value=float(pair.mutual), n=pair.total, extras=extras)
