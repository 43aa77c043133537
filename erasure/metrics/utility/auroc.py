"""How well the probability of a class ranks its samples before the others."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.metric import Parts, Value, gold_if_forget, share
from erasure.core.values import MetricValue
from erasure.evaluation.signals import log_probs, require_multiclass
from erasure.evaluation.statistics.ranking import mean_area, roc_areas


@dataclass(frozen=True, kw_only=True)
class AUROC:
    """Area under the ROC curve per part, each class against the others, mean over classes.

    Only classes with samples and with samples of other classes on the part count; a part of one
    class has no value. The extras hold the area of each class. With several labels per sample
    see ``MultilabelScores``.

    References:
        D. Hand and R. Till, "A Simple Generalisation of the Area Under the ROC Curve for
        Multiple Class Classification Problems", Machine Learning 45, 2001.
    """

    def values(self, parts: Parts) -> Mapping[str, Value]:
        area = "Mean area under the ROC curve of a class against the others on the"
        return {
            f"auroc/{part}": Value(
                share(gold_if_forget(part, "max"), f"{area} {part} set."),
                partial(_area, part=part),
            )
            for part in parts
        }


def _area(ctx: EvalContext, part: str) -> MetricValue:
    require_multiclass(ctx)
    return mean_area(ctx, part, log_probs(ctx, part), roc_areas)
