"""Unlearning accuracy: the error on the forget set."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.values import Meaning, MetricValue, measure
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

    def schema(self, heldout: str) -> Mapping[str, Meaning]:  # noqa: ARG002 - forget alone
        return {
            "ua/forget": Meaning(
                direction="closer_to_gold",
                low=0.0,
                high=1.0,
                description="One minus the accuracy on the forget set.",
            )
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        return {"ua/forget": measure(partial(_error, ctx))}


def _error(ctx: EvalContext) -> MetricValue:
    found = accuracy(ctx, "forget")
    low, high = 1 - found.ci_high, 1 - found.ci_low
    return MetricValue(value=1 - found.value, ci_low=low, ci_high=high, n=found.n)
