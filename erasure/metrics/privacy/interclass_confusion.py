"""How much two classes whose labels were swapped are still taken for one another."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.values import Meaning, MetricValue, NotComputableError, measure
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

    def schema(self, heldout: str) -> Mapping[str, Meaning]:
        said = {
            "ic_err": ("Share of wrong predictions in the two swapped classes", 1.0, ""),
            "fgt_err": ("Samples taken for the other of the swapped classes", math.inf, "samples"),
        }
        return {
            f"interclass_confusion/{part}/{name}": Meaning(
                direction="min",
                low=0.0,
                high=high,
                description=f"{text}, {part} set.",
                unit=unit,
            )
            for part in ("retain", heldout)
            for name, (text, high, unit) in said.items()
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        found = {}
        for part in ("retain", ctx.heldout):
            prefix = f"interclass_confusion/{part}"
            found[f"{prefix}/ic_err"] = measure(partial(_share_of_errors, ctx, part))
            found[f"{prefix}/fgt_err"] = measure(partial(_mutual_errors, ctx, part))
        return found


def swapped_classes(ctx: EvalContext) -> tuple[int, int]:
    """Return the two classes whose labels were swapped.

    Raises:
        NotComputableError: If none were.
    """
    require_multiclass(ctx)
    if ctx.splits.scenario.get("kind") != "confusion":
        raise NotComputableError("skipped", "needs_confusion")
    one, other = ctx.splits.scenario["classes"]
    return one, other


def confusion_matrix(targets: Tensor, predicted: Tensor, num_classes: int) -> Tensor:
    """Return how often each class (rows) is predicted as each (columns), ``(C, C)`` int64."""
    pairs = targets * num_classes + predicted
    return pairs.bincount(minlength=num_classes**2).view(num_classes, num_classes)


def errors_of_pair(matrix: Tensor, one: int, other: int) -> tuple[int, int, int]:
    """Return the errors in two classes, those between them, and the samples that they have."""
    rows = matrix[[one, other]]
    total = int(rows.sum().item())
    right = int((matrix[one, one] + matrix[other, other]).item())
    return total - right, int((matrix[one, other] + matrix[other, one]).item()), total


def _errors(ctx: EvalContext, part: str) -> tuple[int, int, int]:
    one, other = swapped_classes(ctx)
    matrix = confusion_matrix(ctx.targets(part), predictions(ctx, part), ctx.num_classes)
    found = errors_of_pair(matrix, one, other)
    if found[2] == 0:
        raise NotComputableError("degenerate", "no_samples_of_classes")
    return found


def _share_of_errors(ctx: EvalContext, part: str) -> MetricValue:
    errors, _, total = _errors(ctx, part)
    return proportion(errors, total)


def _mutual_errors(ctx: EvalContext, part: str) -> MetricValue:
    _, mutual, total = _errors(ctx, part)
    return MetricValue(value=float(mutual), n=total, extras={"share": mutual / total})
