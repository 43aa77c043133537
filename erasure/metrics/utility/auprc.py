"""How precise the probability of a class is for each share of its samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.metric import Parts, Value, gold_if_forget, share
from erasure.core.values import MetricValue
from erasure.evaluation.signals import log_probs, require_multiclass
from erasure.evaluation.statistics.ranking import average_precisions, mean_area


@dataclass(frozen=True, kw_only=True)
class AUPRC:
    """Average precision per part, each class against the others, mean over classes.

    Only classes with samples and with samples of other classes on the part count; a part of one
    class has no value. It is the area under the precision-recall curve by steps; the
    extras hold that of each class. With several labels per sample
    see ``MultilabelScores``.

    References:
        J. Davis and M. Goadrich, "The Relationship Between Precision-Recall and ROC Curves",
        ICML 2006.
    """

    def values(self, parts: Parts) -> Mapping[str, Value]:
        area = "Mean average precision of a class against the others on the"
        return {
            f"auprc/{part}": Value(
                share(gold_if_forget(part, "max"), f"{area} {part} set."),
                partial(_area, part=part),
            )
            for part in parts
        }


def _area(ctx: EvalContext, part: str) -> MetricValue:
    require_multiclass(ctx)
    return mean_area(ctx, part, log_probs(ctx, part), average_precisions)
