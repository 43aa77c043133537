"""Accuracy in which every class counts the same."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.values import Meaning, MetricValue, measure
from erasure.evaluation.statistics.confusion import confusion
from erasure.evaluation.statistics.estimates import normal_interval


@dataclass(frozen=True, kw_only=True)
class BalancedAccuracy:
    """Mean of the accuracies of the classes that occur, per part.

    References:
        K. Brodersen et al., "The Balanced Accuracy and Its Posterior Distribution", ICPR 2010.
    """

    def schema(self, heldout: str) -> Mapping[str, Meaning]:
        return {
            f"balanced_accuracy/{part}": Meaning(
                direction="closer_to_gold" if part == "forget" else "max",
                low=0.0,
                high=1.0,
                description=f"Mean accuracy of the classes of the {part} set.",
            )
            for part in ("forget", "retain", heldout)
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        return {
            f"balanced_accuracy/{part}": measure(partial(_balanced, ctx, part))
            for part in ctx.parts
        }


def _balanced(ctx: EvalContext, part: str) -> MetricValue:
    found = confusion(ctx, part)
    recalls, totals = found.recalls[found.occurs], found.totals[found.occurs]
    value = recalls.mean().item()
    error = math.sqrt((recalls * (1 - recalls) / totals).sum().item()) / len(recalls)
    low, high = normal_interval(value, error, 0.0, 1.0)
    n, extras = int(totals.sum().item()), {"num_classes": len(recalls)}
    return MetricValue(value=value, ci_low=low, ci_high=high, n=n, extras=extras)
