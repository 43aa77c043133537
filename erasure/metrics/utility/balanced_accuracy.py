"""Accuracy in which every class counts the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.metric import Parts, Value, gold_if_forget, share
from erasure.core.values import MetricValue
from erasure.evaluation.statistics.confusion import confusion
from erasure.evaluation.statistics.estimates import rates_interval


@dataclass(frozen=True, kw_only=True)
class BalancedAccuracy:
    """Mean of the accuracies of the classes that occur, per part.

    Where classes have very different numbers of samples the accuracy is that of the largest ones;
    here each counts the same.

    References:
        K. Brodersen et al., "The Balanced Accuracy and Its Posterior Distribution", ICPR 2010.
    """

    def values(self, parts: Parts) -> Mapping[str, Value]:
        return {
            f"balanced_accuracy/{part}": Value(
                share(
                    gold_if_forget(part, "max"), f"Mean accuracy of the classes of the {part} set."
                ),
                partial(_balanced, part=part),
            )
            for part in parts
        }


def _balanced(ctx: EvalContext, part: str) -> MetricValue:
    table = confusion(ctx, part)
    recalls, totals = table.recalls[table.occurs], table.totals[table.occurs]
    value = recalls.mean().item()
    low, high = rates_interval(recalls, totals)
    n, extras = int(totals.sum().item()), {"num_classes": len(recalls)}
    return MetricValue(value=value, ci_low=low, ci_high=high, n=n, extras=extras)
