"""Unlearning accuracy: the error on the forget set."""

from collections.abc import Mapping
from dataclasses import dataclass

from erasure.core.context import EvalContext
from erasure.core.metric import Parts, Value, share
from erasure.core.values import MetricValue
from erasure.metrics.utility.accuracy import accuracy


@dataclass(frozen=True, kw_only=True)
class UnlearningAccuracy:
    """One minus the accuracy on the forget set, which papers report as UA.

    It has a name of its own because tables that say "UA" and "forget accuracy" are mixed up
    easily. Larger is not better: the target is the value of the retrained model.

    References:
        J. Jia et al., "Model Sparsity Can Simplify Machine Unlearning", NeurIPS 2023,
        arXiv:2304.04934.
    """

    def values(self, parts: Parts) -> Mapping[str, Value]:
        meaning = share("closer_to_gold", "One minus the accuracy on the forget set.")
        return {"ua/forget": Value(meaning, _error)}


def _error(ctx: EvalContext) -> MetricValue:
    right = accuracy(ctx, "forget")
    # What is one minus a rate has the ends of its interval the other way round.
    low, high = 1 - right.ci_high, 1 - right.ci_low
    return MetricValue(value=1 - right.value, ci_low=low, ci_high=high, n=right.n)
