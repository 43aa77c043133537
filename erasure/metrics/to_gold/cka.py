"""How alike the features are to those of the retrained model, up to rotation."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.values import Direction, Meaning, MetricValue, NotComputableError, measure

FEWEST = 4
"""Samples that the unbiased estimate needs."""


@dataclass(frozen=True, kw_only=True)
class CKA:
    """Similarity of the inputs of the head to those of the retrained model's head.

    ``linear`` is the centered kernel alignment with linear kernels: 1 if the features are the
    same up to rotation, shift and a common scale, around 0 if they have nothing in common. It is
    the unbiased estimate, which can be slightly negative; the extras hold the biased one.
    ``procrustes`` is a distance: what is left after the best rotation of features centered and
    scaled to unit norm, from 0 to 2. The alignment alone can be high for models that behave
    differently, so the two are to be read together, and beside ``original/...``.

    Features are recorded in the forward pass that gives the logits.

    References:
        S. Kornblith et al., "Similarity of Neural Network Representations Revisited", ICML 2019,
        arXiv:1905.00414.
        L. Song et al., "Feature Selection via Dependence Maximization", JMLR 13, 2012: the
        unbiased estimate.
        F. Ding et al., "Grounding Representation Similarity with Statistical Testing", NeurIPS
        2021, arXiv:2108.01661: the Procrustes distance.
        M. Davari et al., "Reliability of CKA as a Similarity Measure in Deep Learning", ICLR
        2023, arXiv:2210.16156.
    """

    needs_features = True

    def schema(self, heldout: str) -> Mapping[str, Meaning]:
        kinds: dict[str, tuple[Direction, float, float, float, str]] = {
            "linear": ("max", -1.0, 1.0, 1.0, "Centered kernel alignment of"),
            "procrustes": ("min", 0.0, 2.0, 0.0, "Procrustes distance of"),
        }
        return {
            f"cka/{part}/{name}": Meaning(
                direction=direction,
                low=low,
                high=high,
                ideal=ideal,
                description=f"{what} the features with the retrained model's on the {part} set.",
            )
            for part in ("forget", heldout)
            for name, (direction, low, high, ideal, what) in kinds.items()
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        compute: dict[str, Callable[[Tensor, Tensor], MetricValue]] = {
            "linear": _linear,
            "procrustes": _procrustes,
        }
        return {
            f"cka/{part}/{name}": measure(partial(_to_gold, ctx, part, each))
            for part in ("forget", ctx.heldout)
            for name, each in compute.items()
        }


def linear_cka(own: Tensor, other: Tensor, *, unbiased: bool) -> float:
    """Return the linear alignment of centered features ``(n, D)`` and ``(n, E)``.

    It takes time and memory in the number of features, not of pairs of samples; the estimates
    are those of the kernel matrices. The unbiased one needs four samples.

    Returns:
        NaN if a set of features has no spread.
    """
    dependence = _unbiased if unbiased else _biased
    between = dependence(own, other)
    size = dependence(own, own) * dependence(other, other)
    if size <= 0:
        return math.nan
    return max(-1.0, min(1.0, between / math.sqrt(size)))


def procrustes(own: Tensor, other: Tensor) -> float:
    """Return what the best rotation leaves of centered features ``(n, D)`` and ``(n, E)``.

    Both are scaled to unit Frobenius norm, which must not be 0; the value is a squared distance
    in [0, 2].
    """
    overlap = _compact(own).T @ _compact(other)
    shared: float = torch.linalg.svdvals(overlap).sum().item()
    size: float = (own.norm() * other.norm()).item()
    return max(0.0, min(2.0, 2 - 2 * shared / size))


def _to_gold(
    ctx: EvalContext, part: str, compute: Callable[[Tensor, Tensor], MetricValue]
) -> MetricValue:
    sides = [ctx.features(part, who).double() for who in (ctx.subject, "gold")]
    if len(sides[0]) < FEWEST:
        raise NotComputableError("degenerate", "too_few")
    own, gold = (side - side.mean(dim=0) for side in sides)
    for side, centered in zip(sides, (own, gold), strict=True):
        if centered.norm() <= 1e-12 * side.norm():  # what is left is rounding
            raise NotComputableError("degenerate", "constant_features")
    return replace(compute(own, gold), n=len(own))


def _linear(own: Tensor, gold: Tensor) -> MetricValue:
    value = linear_cka(own, gold, unbiased=True)
    if math.isnan(value):
        raise NotComputableError("degenerate", "constant_features")
    return MetricValue(value=value, extras={"biased": linear_cka(own, gold, unbiased=False)})


def _procrustes(own: Tensor, gold: Tensor) -> MetricValue:
    return MetricValue(value=procrustes(own, gold))


def _biased(own: Tensor, other: Tensor) -> float:
    """Return the Hilbert-Schmidt independence criterion up to a factor."""
    return (own.T @ other).square().sum().item()


def _unbiased(own: Tensor, other: Tensor) -> float:
    """Return the unbiased estimate of the same, from kernel matrices without their diagonals."""
    n = len(own)
    diagonals = [side.square().sum(dim=-1) for side in (own, other)]
    rows = [
        side @ side.sum(dim=0) - diagonal
        for side, diagonal in zip((own, other), diagonals, strict=True)
    ]
    trace = (own.T @ other).square().sum() - diagonals[0] @ diagonals[1]
    whole = rows[0].sum() * rows[1].sum() / ((n - 1) * (n - 2))
    return ((trace + whole - 2 / (n - 2) * (rows[0] @ rows[1])) / (n * (n - 3))).item()


def _compact(features: Tensor) -> Tensor:
    """Return at most n columns with the same products of rows."""
    n, width = features.shape
    return features if width <= n else torch.linalg.qr(features.T, mode="r").R.T
