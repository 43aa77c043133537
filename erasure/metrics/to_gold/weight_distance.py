"""How far the weights are from those of the retrained and of the original model."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from erasure.core.context import EvalContext, Who
from erasure.core.metric import Parts, Values, amount
from erasure.core.values import Meaning, MetricValue, NotComputableError, not_computed
from erasure.evaluation.measure import measure_value

Other = Literal["gold", "original"]

OTHERS: tuple[Other, ...] = ("gold", "original")

MANY_ROWS = 4096
"""Matrices with more rows, such as large embeddings, are left out of the Hausdorff distance."""

DESCRIPTIONS = {
    "l2": "Euclidean distance of the parameters from those of",
    "relative_l2": "Distance of the parameters over the norm of those of",
    "cosine": "Cosine of the angle between the parameters and those of",
    "hausdorff": "Largest distance of a weight matrix's row from the closest of",
    "buffers_l2": "Euclidean distance of the running statistics from those of",
}
"""What each distance says, before the name of the other model."""

Weights = Mapping[str, Tensor]
"""Tensors by name, float64 on the CPU."""


@dataclass(frozen=True, kw_only=True)
class WeightDistance:
    """Distances between weights; none of them says by itself whether something was forgotten.

    Two models trained with different seeds are far apart whatever they know, and gold shares the
    original's initial weights and seed here: what has a meaning is ``to_gold_ratio``, the
    distance to gold over that of the original, 0 for the weights of gold and 1 for a change that
    led no closer to them. The distance of gold to the original is
    ``gold/weight_distance/to_original/l2``. Reference models keep no weights, so there is no value
    for two retrained models to compare with.

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

    def values(self, parts: Parts) -> Values:
        meanings = {
            f"weight_distance/to_{other}/{name}": _meaning(name, other)
            for other in OTHERS
            for name in DESCRIPTIONS
        }
        ratio = "Distance of the parameters from the retrained model over that of the original."
        meanings["weight_distance/to_gold_ratio"] = amount("info", ratio)
        return Values(meanings, _distances)


def _meaning(name: str, other: Other) -> Meaning:
    whose = "retrained" if other == "gold" else other
    description = f"{DESCRIPTIONS[name]} the {whose} model."
    if name == "cosine":
        return Meaning(direction="info", low=-1.0, high=1.0, description=description)
    return amount("info", description)


def _distances(ctx: EvalContext) -> Mapping[str, MetricValue | float]:
    values = {
        f"weight_distance/to_{other}/{name}": value
        for other in OTHERS
        for name, value in _distances_to(other, ctx).items()
    }
    return {**values, "weight_distance/to_gold_ratio": measure_value(_ratio, ctx)}


def _distances_to(other: Other, ctx: EvalContext) -> dict[str, MetricValue | float]:
    buffers_l2 = measure_value(partial(_buffers_l2, other), ctx)
    try:
        pair = _comparable(ctx, ctx.subject, other, parameters)
    except NotComputableError as error:
        nothing = not_computed(error.status, error.reason)
        return {**dict.fromkeys(DESCRIPTIONS, nothing), "buffers_l2": buffers_l2}
    distance = distance_between(*pair)
    zero_norm = not_computed("degenerate", "zero_norm")
    return {
        "l2": _l2(distance),
        "relative_l2": distance.l2 / distance.other_norm if distance.other_norm else zero_norm,
        "cosine": zero_norm if math.isnan(distance.cosine) else distance.cosine,
        "hausdorff": _largest_hausdorff(*pair),
        "buffers_l2": buffers_l2,
    }


def _buffers_l2(other: Other, ctx: EvalContext) -> MetricValue:
    return _l2(distance_between(*_comparable(ctx, ctx.subject, other, statistics)))


def _comparable(
    ctx: EvalContext, who: Who, other: Other, weights_of: Callable[[nn.Module], Weights]
) -> tuple[Weights, Weights]:
    """Return the same weights of two models.

    Raises:
        NotComputableError: If a model is missing, they differ in names or shapes, there are none,
            or one is not finite.
    """
    for role in (who, other):
        if role not in ctx.models:
            raise NotComputableError("skipped", f"missing_{role}")
    pair = weights_of(ctx.models[who]), weights_of(ctx.models[other])
    shapes, other_shapes = ({name: w.shape for name, w in side.items()} for side in pair)
    if shapes != other_shapes:
        raise NotComputableError("skipped", "different_architecture")
    if not shapes:
        raise NotComputableError("skipped", f"no_{weights_of.__name__}")
    if not all(weight.isfinite().all() for side in pair for weight in side.values()):
        raise NotComputableError("degenerate", "nonfinite_weights")
    return pair


def parameters(model: nn.Module) -> Weights:
    """Return what is trained, in float64 on the CPU."""
    return _as_float64(model.named_parameters())


def statistics(model: nn.Module) -> Weights:
    """Return buffers of floating point, such as running means, in float64 on the CPU."""
    # Others, such as the count of batches of a batch norm, are no quantities to take norms of.
    return _as_float64((n, b) for n, b in model.named_buffers() if b.is_floating_point())


def _as_float64(named: Iterable[tuple[str, Tensor]]) -> Weights:
    return {name: value.detach().cpu().double() for name, value in named}


def _l2(distance: "Distance") -> MetricValue:
    return MetricValue(value=distance.l2, extras={"per_layer": distance.per_layer})


def _largest_hausdorff(weights: Weights, others: Weights) -> MetricValue:
    matrices = [name for name, weight in weights.items() if weight.ndim >= 2]
    # Filters are compared as rows of one matrix; a scalar or a bias is no set of rows.
    per_matrix = {
        name: hausdorff(weights[name].flatten(1), others[name].flatten(1))
        for name in matrices
        if len(weights[name]) <= MANY_ROWS
    }
    if not per_matrix:
        return not_computed("skipped", "no_weight_matrix")
    left_out = [name for name in matrices if name not in per_matrix]
    extras = {"per_matrix": per_matrix, "left_out": left_out}
    return MetricValue(value=max(per_matrix.values()), extras=extras)


def _ratio(ctx: EvalContext) -> MetricValue:
    subject = distance_between(*_comparable(ctx, ctx.subject, "gold", parameters)).l2
    original = distance_between(*_comparable(ctx, "original", "gold", parameters)).l2
    if original == 0:
        raise NotComputableError("degenerate", "zero_norm")
    extras = {"own": subject, "original": original}
    return MetricValue(value=subject / original, extras=extras)


@dataclass(frozen=True)
class Distance:
    """How far apart two sets of weights are.

    Args:
        l2: Euclidean distance of all weights.
        norm: Norm of the first set.
        other_norm: Norm of the second set.
        cosine: Cosine of the angle between them; NaN if one of them is zero.
        per_layer: Euclidean distance by module.
    """

    l2: float
    norm: float
    other_norm: float
    cosine: float
    per_layer: Mapping[str, float]


def distance_between(weights: Weights, others: Weights) -> Distance:
    """Return how far apart two sets with the same names and shapes are."""
    squares: dict[str, float] = {}
    product = square = other_square = 0.0
    for name, weight in weights.items():
        # The module is the name without its last part, `weight` or `bias`.
        layer = name.rpartition(".")[0]
        squares[layer] = squares.get(layer, 0.0) + _square(weight - others[name])
        product += (weight * others[name]).sum().item()
        square += _square(weight)
        other_square += _square(others[name])
    norms = math.sqrt(square * other_square)
    return Distance(
        l2=math.sqrt(math.fsum(squares.values())),
        norm=math.sqrt(square),
        other_norm=math.sqrt(other_square),
        # Rounding can take equal weights just beyond 1.
        cosine=max(-1.0, min(1.0, product / norms)) if norms else math.nan,
        per_layer={layer: math.sqrt(value) for layer, value in squares.items()},
    )


def _square(values: Tensor) -> float:
    return values.square().sum().item()


def hausdorff(rows: Tensor, others: Tensor) -> float:
    """Return the Hausdorff distance between two sets of rows ``(n, D)`` and ``(m, D)``.

    That is the largest distance from a row of either set to the closest of the other, exactly 0
    for equal sets. ``scipy.spatial.distance.directed_hausdorff`` walks over pairs of rows: where
    one set is the other slightly moved, as here, it took ten times as long (2048 rows of 1024).
    """
    if torch.equal(rows, others):
        return 0.0
    # The closest is found by a product of matrices, |a - b|^2 = |a|^2 + |b|^2 - 2 ab, in which
    # digits cancel; its distance is then computed exactly.
    squares = rows.square().sum(dim=-1).unsqueeze(-1) + others.square().sum(dim=-1)
    apart = squares - 2 * rows @ others.T
    pairs = ((rows, others[apart.argmin(dim=1)]), (others, rows[apart.argmin(dim=0)]))
    return max((a - b).square().sum(dim=-1).sqrt().max().item() for a, b in pairs)
