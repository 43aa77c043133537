"""Kullback-Leibler divergence between the outputs of a model and of the retrained one."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.metric import Parts, Value, distance
from erasure.core.values import MetricValue
from erasure.evaluation.outputs import Divergence, compared, divergences, gold_null
from erasure.evaluation.statistics.divergences import hellinger, kullback_leibler, total_variation
from erasure.evaluation.statistics.estimates import mean

BOUNDED: Mapping[str, Divergence] = {"total_variation": total_variation, "hellinger": hellinger}
"""Distances with an upper bound, which are noted beside the forward divergence."""


@dataclass(frozen=True, kw_only=True)
class KLToGold:
    """Mean Kullback-Leibler divergence from and to the retrained model, per part and in nats.

    ``forward`` is KL(gold || model), which grows without bound where the model excludes what the
    retrained one expects; ``reverse`` is KL(model || gold). The extras of ``forward`` hold two
    bounded distances, total variation and Hellinger. With several retrained models among the
    reference models the extras of both hold what the divergence is between two of them. Where a
    sample has several labels everything is a mean over labels.

    References:
        S. Kullback and R. Leibler, "On Information and Sufficiency", Annals of Mathematical
        Statistics 22, 1951.
    """

    def values(self, parts: Parts) -> Mapping[str, Value]:
        values: dict[str, Value] = {}
        for part in parts:
            forward = f"Mean KL(gold || model) of the predictions on the {part} set."
            reverse = f"Mean KL(model || gold) of the predictions on the {part} set."
            values |= {
                f"kl_to_gold/{part}/forward": Value(
                    distance(forward, unit="nats"), partial(_forward, part)
                ),
                f"kl_to_gold/{part}/reverse": Value(
                    distance(reverse, unit="nats"), partial(_mean, part, kullback_leibler)
                ),
            }
        return values


def _forward(part: str, ctx: EvalContext) -> MetricValue:
    bounded = {
        name: divergences(ctx, divergence, part, "gold").mean().item()
        for name, divergence in BOUNDED.items()
    }
    value = _mean(part, _from_gold, ctx)
    return replace(value, extras={**bounded, **value.extras})


def _mean(part: str, divergence: Divergence, ctx: EvalContext) -> MetricValue:
    value = mean(divergences(ctx, divergence, part, "gold"), low=0.0, high=math.inf)
    return replace(value, extras=gold_null(ctx, part, partial(compared, divergence)))


def _from_gold(log_model: Tensor, log_gold: Tensor) -> Tensor:
    return kullback_leibler(log_gold, log_model)
