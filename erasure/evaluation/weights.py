"""Distances between two sets of weights, accumulated in float64 on the CPU."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Weights = Mapping[str, Tensor]
"""Tensors by name."""


@dataclass(frozen=True)
class Distance:
    """How far apart two sets of weights are.

    Args:
        l2: Euclidean distance of all weights.
        own_norm: Norm of the first set.
        other_norm: Norm of the second set.
        cosine: Cosine of the angle between them; NaN if one of them is zero.
        per_layer: Euclidean distance by module.
    """

    l2: float
    own_norm: float
    other_norm: float
    cosine: float
    per_layer: Mapping[str, float]


def parameters(model: nn.Module) -> Weights:
    """Return what is trained, in float64 on the CPU."""
    return _doubled(model.named_parameters())


def statistics(model: nn.Module) -> Weights:
    """Return buffers of floating point, such as running means, in float64 on the CPU."""
    return _doubled((n, b) for n, b in model.named_buffers() if b.is_floating_point())


def comparable(own: Weights, other: Weights) -> bool:
    """Tell whether two sets have the same names and shapes."""
    return {n: w.shape for n, w in own.items()} == {n: w.shape for n, w in other.items()}


def distance(own: Weights, other: Weights) -> Distance:
    """Return how far apart two sets with the same names and shapes are."""
    layers: dict[str, float] = {}
    product = own_square = other_square = 0.0
    for name, weight in own.items():
        layer = name.rpartition(".")[0]
        layers[layer] = layers.get(layer, 0.0) + _square(weight - other[name])
        product += (weight * other[name]).sum().item()
        own_square, other_square = (
            own_square + _square(weight),
            other_square + _square(other[name]),
        )
    norms = math.sqrt(own_square * other_square)
    return Distance(
        l2=math.sqrt(math.fsum(layers.values())),
        own_norm=math.sqrt(own_square),
        other_norm=math.sqrt(other_square),
        cosine=max(-1.0, min(1.0, product / norms)) if norms else math.nan,
        per_layer={layer: math.sqrt(square) for layer, square in layers.items()},
    )


def hausdorff(own: Tensor, other: Tensor) -> float:
    """Return the Hausdorff distance between two sets of rows ``(n, D)`` and ``(m, D)``.

    That is the largest distance from a row of either set to the closest of the other, exactly 0
    for equal sets.
    """
    if torch.equal(own, other):
        return 0.0
    # The closest is found by a product of matrices; its distance is then computed exactly.
    squares = own.square().sum(dim=-1).unsqueeze(-1) + other.square().sum(dim=-1)
    apart = squares - 2 * own @ other.T
    pairs = ((own, other, apart.argmin(dim=1)), (other, own, apart.argmin(dim=0)))
    return max(_farthest(rows, others[closest]) for rows, others, closest in pairs)


def _farthest(rows: Tensor, closest: Tensor) -> float:
    return (rows - closest).square().sum(dim=-1).sqrt().max().item()


def _doubled(named: Iterable[tuple[str, Tensor]]) -> Weights:
    return {name: value.detach().cpu().double() for name, value in named}


def _square(values: Tensor) -> float:
    return values.square().sum().item()
