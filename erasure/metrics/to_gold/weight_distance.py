"""How far the weights are from those of the retrained and of the original model."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import nn

from erasure.core.context import EvalContext, Who
from erasure.core.values import Meaning, MetricValue, NotComputableError, measure, missing
from erasure.evaluation.weights import (
    Distance,
    Weights,
    comparable,
    distance,
    hausdorff,
    parameters,
    statistics,
)

Other = Literal["gold", "original"]

OTHERS: tuple[Other, ...] = ("gold", "original")

MANY_ROWS = 4096
"""Matrices with more rows, such as large embeddings, are left out of the Hausdorff distance."""


_MEANINGS = {
    "l2": "Euclidean distance of the parameters from those of",
    "relative_l2": "Distance of the parameters over the norm of those of",
    "cosine": "Cosine of the angle between the parameters and those of",
    "hausdorff": "Largest distance of a weight matrix's row from the closest of",
    "buffers_l2": "Euclidean distance of the running statistics from those of",
}
"""What each distance says, before the name of the other model."""


@dataclass(frozen=True, kw_only=True)
class WeightDistance:
    """Distances between weights; none of them says by itself whether something was forgotten.

    Two models trained with different seeds are far apart whatever they know, and gold shares the
    original's initial weights and seed here: what has a meaning is ``to_gold_ratio``, the
    distance to gold over that of the original, 0 for the weights of gold and 1 for a change that
    led no closer to them. The distance of gold to the original is
    ``gold/weight_distance/to_original/l2``.

    * ``l2``: Euclidean distance of all parameters; by module in the extras.
    * ``relative_l2``: the same over the norm of the other model's parameters.
    * ``cosine``: cosine of the angle between the parameters.
    * ``hausdorff``: largest distance of a row of a weight matrix, such as a filter, to the closest
      row of the same matrix in the other model; by matrix in the extras.
    * ``buffers_l2``: Euclidean distance of running statistics, which are not parameters.

    References:
        A. Tarun et al., "Fast Yet Effective Machine Unlearning", IEEE Transactions on Neural
        Networks and Learning Systems 2023, arXiv:2111.08947: the distance of weights per layer.
    """

    def schema(self, heldout: str) -> Mapping[str, Meaning]:  # noqa: ARG002 - weights alone
        found = {
            f"weight_distance/to_{other}/{name}": Meaning(
                direction="info",
                low=-1.0 if name == "cosine" else 0.0,
                high=1.0 if name == "cosine" else math.inf,
                description=f"{meaning} the {'retrained' if other == 'gold' else other} model.",
            )
            for other in OTHERS
            for name, meaning in _MEANINGS.items()
        }
        found["weight_distance/to_gold_ratio"] = Meaning(
            direction="info",
            low=0.0,
            high=math.inf,
            description="Distance of the parameters from the retrained model over that of the "
            "original.",
        )
        return found

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        found = {
            f"weight_distance/to_{other}/{name}": value
            for other in OTHERS
            for name, value in _distances(ctx, other).items()
        }
        return {**found, "weight_distance/to_gold_ratio": measure(partial(_ratio, ctx))}


def _distances(ctx: EvalContext, other: Other) -> Mapping[str, MetricValue]:
    found = {"buffers_l2": measure(lambda: _l2(_between(ctx, ctx.subject, other, statistics)))}
    try:
        pair = _between(ctx, ctx.subject, other, parameters)
    except NotComputableError as error:
        return {**dict.fromkeys(_MEANINGS, missing(error.status, error.reason)), **found}
    apart = distance(*pair)
    return {
        "l2": _l2(pair),
        "relative_l2": measure(lambda: _over(apart.l2, apart.other_norm)),
        "cosine": measure(lambda: _cosine(apart)),
        "hausdorff": measure(lambda: _hausdorff(*pair)),
        **found,
    }


def _between(
    ctx: EvalContext, who: Who, other: Other, of: Callable[[nn.Module], Weights]
) -> tuple[Weights, Weights]:
    """Return what ``of`` takes out of two models, if it can be compared."""
    for role in (who, other):
        if role not in ctx.models:
            raise NotComputableError("skipped", f"missing_{role}")
    pair = of(ctx.models[who]), of(ctx.models[other])
    if not comparable(*pair):
        raise NotComputableError("skipped", "different_architecture")
    if not pair[0]:
        raise NotComputableError("skipped", f"no_{of.__name__}")
    if not all(weight.isfinite().all() for weights in pair for weight in weights.values()):
        raise NotComputableError("degenerate", "nonfinite_weights")
    return pair


def _l2(pair: tuple[Weights, Weights]) -> MetricValue:
    found = distance(*pair)
    return MetricValue(value=found.l2, extras={"per_layer": found.per_layer})


def _cosine(found: Distance) -> float:
    if math.isnan(found.cosine):
        raise NotComputableError("degenerate", "zero_norm")
    return found.cosine


def _hausdorff(own: Weights, others: Weights) -> MetricValue:
    matrices = [name for name, weight in own.items() if weight.ndim >= 2]
    counted = [name for name in matrices if len(own[name]) <= MANY_ROWS]
    if not counted:
        raise NotComputableError("skipped", "no_weight_matrix")
    found = {name: hausdorff(own[name].flatten(1), others[name].flatten(1)) for name in counted}
    left_out = [name for name in matrices if name not in found]
    return MetricValue(
        value=max(found.values()), extras={"per_matrix": found, "left_out": left_out}
    )


def _ratio(ctx: EvalContext) -> MetricValue:
    own = distance(*_between(ctx, ctx.subject, "gold", parameters)).l2
    original = distance(*_between(ctx, "original", "gold", parameters)).l2
    return MetricValue(value=_over(own, original), extras={"own": own, "original": original})


def _over(above: float, below: float) -> float:
    if below == 0:
        raise NotComputableError("degenerate", "zero_norm")
    return above / below
