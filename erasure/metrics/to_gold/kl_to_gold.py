"""Kullback-Leibler divergence between the outputs of a model and of the retrained one."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.values import Meaning, MetricValue, measure
from erasure.evaluation.gold_null import gold_null
from erasure.evaluation.outputs import Divergence, compared, divergences
from erasure.evaluation.statistics.divergences import hellinger, kullback_leibler, total_variation
from erasure.evaluation.statistics.estimates import mean


@dataclass(frozen=True, kw_only=True)
class KLToGold:
    """Mean Kullback-Leibler divergence from and to the retrained model, per part and in nats.

    ``forward`` is KL(gold || model), which grows without bound where the model excludes what the
    retrained one expects; ``reverse`` is KL(model || gold). The extras of ``forward`` hold two
    bounded distances, total variation and Hellinger, and with several retrained models in a pool
    what the divergence is between two of them. Where a sample has several labels everything is
    a mean over labels.

    References:
        S. Kullback and R. Leibler, "On Information and Sufficiency", Annals of Mathematical
        Statistics 22, 1951.
    """

    def schema(self, heldout: str) -> Mapping[str, Meaning]:
        return {
            f"kl_to_gold/{part}/{name}": Meaning(
                direction="min",
                low=0.0,
                high=math.inf,
                ideal=0.0,
                description=f"Mean {formula} of the predictions on the {part} set.",
                unit="nats",
            )
            for part in ("forget", "retain", heldout)
            for name, formula in (
                ("forward", "KL(gold || model)"),
                ("reverse", "KL(model || gold)"),
            )
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        return {
            f"kl_to_gold/{part}/{name}": measure(partial(compute, ctx, part))
            for part in ctx.parts
            for name, compute in (("forward", _forward), ("reverse", _reverse))
        }


def _forward(ctx: EvalContext, part: str) -> MetricValue:
    others: dict[str, Divergence] = {"total_variation": total_variation, "hellinger": hellinger}
    extras = {
        name: divergences(ctx, divergence, part, "gold").mean().item()
        for name, divergence in others.items()
    }
    found = mean(divergences(ctx, _from_gold, part, "gold"), low=0.0, high=math.inf)
    null = gold_null(ctx, part, partial(compared, _from_gold))
    return replace(found, extras={**extras, **null})


def _reverse(ctx: EvalContext, part: str) -> MetricValue:
    found = mean(divergences(ctx, kullback_leibler, part, "gold"), low=0.0, high=math.inf)
    return replace(found, extras=gold_null(ctx, part, partial(compared, kullback_leibler)))


def _from_gold(log_model: Tensor, log_gold: Tensor) -> Tensor:
    return kullback_leibler(log_gold, log_model)
