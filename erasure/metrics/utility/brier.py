"""Squared error of the predicted probabilities."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.values import Meaning, MetricValue, measure
from erasure.evaluation.signals import log_probs, require_multiclass
from erasure.evaluation.statistics.estimates import mean


@dataclass(frozen=True, kw_only=True)
class Brier:
    """Brier score per part: squared distance of the probabilities from the truth, in [0, 2].

    It is summed over classes, so that a certain error costs 2.

    References:
        G. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather
        Review 78, 1950.
    """

    def schema(self, heldout: str) -> Mapping[str, Meaning]:
        return {
            f"brier/{part}": Meaning(
                direction="closer_to_gold" if part == "forget" else "min",
                low=0.0,
                high=2.0,
                description=f"Mean squared error of the probabilities on the {part} set.",
            )
            for part in ("forget", "retain", heldout)
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        return {f"brier/{part}": measure(partial(_score, ctx, part)) for part in ctx.parts}


def _score(ctx: EvalContext, part: str) -> MetricValue:
    require_multiclass(ctx)
    probabilities = log_probs(ctx, part).exp()
    truth = ctx.task_type.indicators(ctx.targets(part), ctx.num_classes)
    errors = (probabilities - truth.double()).square().sum(dim=-1)
    return mean(errors.clamp_max(2.0), low=0.0, high=2.0)
