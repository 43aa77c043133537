"""How alike the features are to those of the retrained model, up to rotation."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.metric import Parts, Value, distance
from erasure.core.values import Meaning, MetricValue, NotComputableError

FEWEST = 4
"""Samples that the unbiased estimate needs: it divides by n - 3."""

ROUNDING = 1e-12
"""Share of a set of features that may be left after centering if they are all the same."""

Compare = Callable[[Tensor, Tensor], MetricValue]
"""Two sets of centered features ``(n, D)`` and ``(n, E)`` to a value."""


@dataclass(frozen=True, kw_only=True)
class CKA:
    """Similarity of the inputs of the head to those of the retrained model's head.

    ``linear`` is the centered kernel alignment with linear kernels: 1 if the features are the
    same up to rotation, shift and a common scale, around 0 if they have nothing in common. It is
    the unbiased estimate, which can be slightly negative; the extras hold the biased one.
    ``procrustes`` is a distance: what is left after the best rotation of features centered and
    scaled to unit norm, from 0 to 2. The alignment alone can be high for models that behave
    differently, so the two are to be read together, and beside ``original/...``:
    reference models keep no features, so there is no value for two of them to compare with.

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

    def values(self, parts: Parts) -> Mapping[str, Value]:
        values: dict[str, Value] = {}
        for part in ("forget", parts.heldout):
            of_features = f"of the features with the retrained model's on the {part} set."
            alignment = Meaning(
                direction="max",
                low=-1.0,
                high=1.0,
                ideal=1.0,
                description=f"Centered kernel alignment {of_features}",
            )
            rest = distance(f"Procrustes distance {of_features}", high=2.0)
            values |= {
                f"cka/{part}/linear": Value(alignment, partial(_to_gold, part, _linear)),
                f"cka/{part}/procrustes": Value(rest, partial(_to_gold, part, _procrustes)),
            }
        return values


def _to_gold(part: str, compare: Compare, ctx: EvalContext) -> MetricValue:
    features, gold_features = (ctx.features(part, who).double() for who in (ctx.subject, "gold"))
    if len(features) < FEWEST:
        raise NotComputableError("degenerate", "too_few")
    return replace(compare(_centered(features), _centered(gold_features)), n=len(features))


def _centered(features: Tensor) -> Tensor:
    centered = features - features.mean(dim=0)
    if centered.norm() <= ROUNDING * features.norm():
        raise NotComputableError("degenerate", "constant_features")
    return centered


def _linear(features: Tensor, gold_features: Tensor) -> MetricValue:
    value = linear_cka(features, gold_features, unbiased=True)
    if math.isnan(value):
        raise NotComputableError("degenerate", "constant_features")
    biased = linear_cka(features, gold_features, unbiased=False)
    return MetricValue(value=value, extras={"biased": biased})


def _procrustes(features: Tensor, gold_features: Tensor) -> MetricValue:
    return MetricValue(value=procrustes(features, gold_features))


def linear_cka(features: Tensor, others: Tensor, *, unbiased: bool) -> float:
    """Return the linear alignment of centered features ``(n, D)`` and ``(n, E)``, in [-1, 1].

    It takes time and memory in the number of features, not of pairs of samples; the estimates
    are those of the kernel matrices. The unbiased one needs four samples.

    Returns:
        NaN if a set of features has no spread.
    """
    dependence = _unbiased if unbiased else _biased
    between = dependence(features, others)
    size = dependence(features, features) * dependence(others, others)
    # An unbiased estimate of what is positive can itself be negative.
    if size <= 0:
        return math.nan
    return max(-1.0, min(1.0, between / math.sqrt(size)))


def _biased(features: Tensor, others: Tensor) -> float:
    """Return the Hilbert-Schmidt independence criterion up to a factor."""
    return (features.T @ others).square().sum().item()


def _unbiased(features: Tensor, others: Tensor) -> float:
    """Return the unbiased estimate of the same, from kernel matrices without their diagonals.

    For ``K = X X' - diag`` and ``L = Y Y' - diag`` it is ``tr(K L) + 1'K1 1'L1 / ((n - 1)(n - 2))
    - 2 / (n - 2) 1'K L1``, over ``n (n - 3)``.
    """
    n = len(features)
    # No (n, n) matrix is made: tr(K L) is |X'Y|^2 without the diagonals' products, and the row
    # sums K1 are X (X'1) without the diagonal.
    diagonals = [side.square().sum(dim=-1) for side in (features, others)]
    row_sums = [
        side @ side.sum(dim=0) - diagonal
        for side, diagonal in zip((features, others), diagonals, strict=True)
    ]
    trace = (features.T @ others).square().sum() - diagonals[0] @ diagonals[1]
    totals = row_sums[0].sum() * row_sums[1].sum() / ((n - 1) * (n - 2))
    return ((trace + totals - 2 / (n - 2) * (row_sums[0] @ row_sums[1])) / (n * (n - 3))).item()


def procrustes(features: Tensor, others: Tensor) -> float:
    """Return what the best rotation leaves of centered features ``(n, D)`` and ``(n, E)``.

    Both are scaled to unit Frobenius norm, which must not be 0; the value is a squared distance
    in [0, 2]. That of ``scipy.spatial.procrustes`` is another one: it scales one of the two once
    more, needs as many columns on both sides and an (E, E) decomposition.
    """
    overlap = _compact(features).T @ _compact(others)
    nuclear_norm: float = torch.linalg.svdvals(overlap).sum().item()
    size: float = (features.norm() * others.norm()).item()
    return max(0.0, min(2.0, 2 - 2 * nuclear_norm / size))


def _compact(features: Tensor) -> Tensor:
    """Return at most n columns with the same products of rows."""
    n, width = features.shape
    # X = R'Q' with orthonormal Q, which changes no singular value of a product with X.
    return features if width <= n else torch.linalg.qr(features.T, mode="r").R.T
