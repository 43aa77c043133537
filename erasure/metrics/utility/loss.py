"""Mean loss on every part."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.values import Meaning, MetricValue, measure
from erasure.evaluation.signals import losses
from erasure.evaluation.statistics.estimates import mean


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Mean negative log-likelihood per part, in nats."""

    def schema(self, heldout: str) -> Mapping[str, Meaning]:
        return {
            f"{part}/loss": Meaning(
                direction="closer_to_gold" if part == "forget" else "min",
                low=0.0,
                high=math.inf,
                description=f"Mean negative log-likelihood of the labels of the {part} set.",
                unit="nats",
            )
            for part in ("forget", "retain", heldout)
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        return {f"{part}/loss": measure(partial(mean_loss, ctx, part)) for part in ctx.parts}


def mean_loss(ctx: EvalContext, part: str) -> MetricValue:
    """Return the mean loss of the subject on a part, in nats."""
    return mean(losses(ctx, part), low=0.0, high=math.inf)
