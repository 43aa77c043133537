"""How often a model predicts the same class as the retrained one."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.metric import Measured, MetricSchema, measure
from erasure.evaluation.estimates import proportion
from erasure.evaluation.signals import predictions


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Share of samples per part on which a model and the retrained one predict the same class.

    References:
        Y. Cao and J. Yang, "Towards Making Systems Forget with Machine Unlearning", S&P 2015:
        completeness.
    """

    def schema(self, heldout: str) -> Mapping[str, MetricSchema]:
        return {
            f"{part}/agreement": MetricSchema(
                direction="max",
                low=0.0,
                high=1.0,
                ideal=1.0,
                description=f"Share of the {part} set predicted as the retrained model does.",
            )
            for part in ("forget", "retain", heldout)
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, Measured]:
        return {f"{part}/agreement": measure(partial(_agree, ctx, part)) for part in ctx.parts}


def _agree(ctx: EvalContext, part: str) -> Measured:
    same = predictions(ctx, part) == predictions(ctx, part, "gold")
    return proportion(int(same.sum().item()), len(same))
