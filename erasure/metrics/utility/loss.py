"""Mean loss on every part."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.metric import Parts, Value, amount, gold_if_forget
from erasure.core.values import MetricValue
from erasure.evaluation.signals import losses
from erasure.evaluation.statistics.estimates import mean


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Mean negative log-likelihood per part, in nats.

    It sees what the accuracy does not: forget samples that are still predicted right, but with
    less confidence, or more, than by the retrained model.
    """

    def values(self, parts: Parts) -> Mapping[str, Value]:
        loss = "Mean negative log-likelihood of the labels of the"
        return {
            f"{part}/loss": Value(
                amount(gold_if_forget(part, "min"), f"{loss} {part} set.", unit="nats"),
                partial(mean_loss, part=part),
            )
            for part in parts
        }


def mean_loss(ctx: EvalContext, part: str) -> MetricValue:
    """Return the mean loss of the subject on a part, in nats."""
    return mean(losses(ctx, part), low=0.0, high=math.inf)
