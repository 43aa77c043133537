"""Divergence of the outputs from those of the retrained model."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.values import Meaning, MetricValue, measure
from erasure.evaluation.gold_null import gold_null
from erasure.evaluation.outputs import compared, divergences
from erasure.evaluation.statistics.divergences import LN2, jensen_shannon
from erasure.evaluation.statistics.estimates import mean


@dataclass(frozen=True, kw_only=True)
class JSToGold:
    """Mean Jensen-Shannon divergence between the predictions of a model and of the retrained one.

    On the forget set and on the held-out part, in nats. Where a sample has several labels it is
    the mean over labels. With several retrained models in a pool the extras hold what it is
    between two of them.

    References:
        J. Lin, "Divergence measures based on the Shannon entropy", IEEE Transactions on
        Information Theory 37, 1991.
    """

    def schema(self, heldout: str) -> Mapping[str, Meaning]:
        return {
            f"{part}/js_to_gold": Meaning(
                direction="min",
                low=0.0,
                high=LN2,
                ideal=0.0,
                description=f"Jensen-Shannon divergence from the retrained model's predictions "
                f"on the {part} set.",
                unit="nats",
            )
            for part in ("forget", heldout)
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        parts = ("forget", ctx.heldout)
        return {f"{part}/js_to_gold": measure(partial(_to_gold, ctx, part)) for part in parts}


def _to_gold(ctx: EvalContext, part: str) -> MetricValue:
    found = mean(divergences(ctx, jensen_shannon, part, "gold"), low=0.0, high=LN2)
    return replace(found, extras=gold_null(ctx, part, partial(compared, jensen_shannon)))
