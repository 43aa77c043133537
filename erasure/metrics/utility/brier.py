"""Squared error of the predicted probabilities."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.metric import Parts, Value, amount, gold_if_forget
from erasure.core.values import MetricValue
from erasure.evaluation.signals import log_probs, require_multiclass
from erasure.evaluation.statistics.estimates import mean


@dataclass(frozen=True, kw_only=True)
class Brier:
    """Brier score per part: squared distance of the probabilities from the truth, in [0, 2].

    It is summed over classes, so that a certain error costs 2. Unlike the accuracy it sees how
    certain a model is, and unlike the loss a single certain error cannot dominate it.

    References:
        G. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather
        Review 78, 1950.
    """

    def values(self, parts: Parts) -> Mapping[str, Value]:
        error = "Mean squared error of the probabilities on the"
        return {
            f"brier/{part}": Value(
                amount(gold_if_forget(part, "min"), f"{error} {part} set.", high=2.0),
                partial(_score, part=part),
            )
            for part in parts
        }


def _score(ctx: EvalContext, part: str) -> MetricValue:
    require_multiclass(ctx)
    probabilities = log_probs(ctx, part).exp()
    truth = ctx.task_type.indicators(ctx.targets(part), ctx.num_classes)
    errors = (probabilities - truth.double()).square().sum(dim=-1)
    # A certain error costs 2 and, by rounding of the sum, a little more.
    return mean(errors.clamp_max(2.0), low=0.0, high=2.0)
