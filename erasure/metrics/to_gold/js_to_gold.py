"""Divergence of the outputs from those of the retrained model."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.metric import Parts, Value, distance
from erasure.core.values import MetricValue
from erasure.evaluation.outputs import compared, divergences, gold_null
from erasure.evaluation.statistics.divergences import LN2, jensen_shannon
from erasure.evaluation.statistics.estimates import mean


@dataclass(frozen=True, kw_only=True)
class JSToGold:
    """Mean Jensen-Shannon divergence between the predictions of a model and of the retrained one.

    On the forget set and on the held-out part, in nats, at most ln 2. Where a sample has several
    labels it is the mean over labels. Two retrained models differ as well: with several among
    the reference models the extras hold what the divergence is between two of them. It is the
    published definition; the value of released code depends on the number of classes and rows.

    References:
        J. Lin, "Divergence measures based on the Shannon entropy", IEEE Transactions on
        Information Theory 37, 1991.
    """

    def values(self, parts: Parts) -> Mapping[str, Value]:
        return {
            f"{part}/js_to_gold": Value(
                distance(
                    "Jensen-Shannon divergence from the retrained model's predictions on the "
                    f"{part} set.",
                    high=LN2,
                    unit="nats",
                ),
                partial(_divergence, part),
            )
            for part in ("forget", parts.heldout)
        }


def _divergence(part: str, ctx: EvalContext) -> MetricValue:
    value = mean(divergences(ctx, jensen_shannon, part, "gold"), low=0.0, high=LN2)
    return replace(value, extras=gold_null(ctx, part, partial(compared, jensen_shannon)))
