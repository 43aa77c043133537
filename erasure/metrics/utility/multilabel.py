"""Scores of tasks in which a sample can have several labels."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.metric import Parts, Value, gold_if_forget, share
from erasure.core.values import MetricValue, NotComputableError
from erasure.evaluation.outputs import require_multilabel
from erasure.evaluation.signals import predictions
from erasure.evaluation.statistics.estimates import mean, proportion
from erasure.evaluation.statistics.ranking import average_precisions, mean_area, roc_areas

DESCRIPTIONS = {
    "exact_match": "Share of samples with all labels predicted right",
    "hamming": "Share of labels predicted right",
    "micro_f1": "F1 over the decisions on all labels",
    "macro_f1": "Mean F1 of the labels that occur or are predicted",
    "map": "Mean average precision of the labels",
    "auroc": "Mean area under the ROC curve of the labels",
}
"""What each value says."""


@dataclass(frozen=True, kw_only=True)
class MultilabelScores:
    """Exact match, Hamming accuracy, F1, average precision and ROC area, per part.

    A label is predicted if its probability is above one half. Average precision and ROC area are
    means over the labels that some but not all samples of the part have. For tasks with exactly
    one class per sample every value is skipped.

    References:
        M. Zhang and Z. Zhou, "A Review on Multi-Label Learning Algorithms", IEEE Transactions on
        Knowledge and Data Engineering 26, 2014.
    """

    def values(self, parts: Parts) -> Mapping[str, Value]:
        return {
            f"multilabel/{part}/{name}": Value(
                share(gold_if_forget(part, "max"), f"{description} of the {part} set."),
                partial(_score, part=part, name=name),
            )
            for part in parts
            for name, description in DESCRIPTIONS.items()
        }


def _score(ctx: EvalContext, part: str, name: str) -> MetricValue:
    require_multilabel(ctx)
    if name in ("map", "auroc"):
        areas = average_precisions if name == "map" else roc_areas
        return mean_area(ctx, part, ctx.logits(part), areas)
    return _THRESHOLDED[name](predictions(ctx, part).bool(), ctx.targets(part).bool())


def _exact_match(predicted: Tensor, targets: Tensor) -> MetricValue:
    right = (predicted == targets).all(dim=-1)
    return proportion(int(right.sum().item()), len(right))


def _hamming(predicted: Tensor, targets: Tensor) -> MetricValue:
    return mean((predicted == targets).double().mean(dim=-1), low=0.0, high=1.0)


def _micro_f1(predicted: Tensor, targets: Tensor) -> MetricValue:
    # One column of all decisions: the F1 of it is the micro average.
    micro = _f1(predicted.flatten().unsqueeze(-1), targets.flatten().unsqueeze(-1))
    return _defined(micro.item(), len(targets))


def _macro_f1(predicted: Tensor, targets: Tensor) -> MetricValue:
    per_label = _f1(predicted, targets)
    macro = _defined(per_label.nanmean().item(), len(targets))
    return replace(macro, extras={"per_label": per_label.tolist()})


def _f1(predicted: Tensor, targets: Tensor) -> Tensor:
    """Return the F1 of each column; NaN for a label that neither occurs nor is predicted."""
    both = (predicted & targets).sum(dim=0)
    return 2 * both.double() / (predicted.sum(dim=0) + targets.sum(dim=0))


def _defined(value: float, n: int) -> MetricValue:
    if math.isnan(value):
        raise NotComputableError("degenerate", "no_label")
    return MetricValue(value=value, n=n)


_THRESHOLDED: Mapping[str, Callable[[Tensor, Tensor], MetricValue]] = {
    "exact_match": _exact_match,
    "hamming": _hamming,
    "micro_f1": _micro_f1,
    "macro_f1": _macro_f1,
}
