"""Distance of the probabilities from those of the retrained model."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.metric import Parts, Value, distance
from erasure.core.values import MetricValue
from erasure.evaluation.outputs import Divergence, compared, divergences, gold_null
from erasure.evaluation.statistics.estimates import mean

HIGHEST = {"l2": math.sqrt(2), "l1": 2.0}
"""The distance of two different certainties."""


@dataclass(frozen=True, kw_only=True)
class ActivationDistance:
    """Mean distance between the probabilities of a model and of the retrained one, per part.

    ``l2`` is the Euclidean distance, at most the root of 2, and ``l1`` the sum of absolute
    differences, at most 2. Where a sample has several labels it is the mean over labels of the
    distance of the probabilities of off and on. Two retrained models differ as well: with
    several among the reference models the extras hold what the distance is between two of them,
    and nothing below that is a difference. For distances of features see :class:`.CKA`.

    References:
        V. Chundawat et al., "Can Bad Teaching Induce Forgetting?", AAAI 2023, arXiv:2205.08096.
        A. Golatkar et al., "Mixed-Privacy Forgetting in Deep Networks", CVPR 2021,
        arXiv:2012.13431: the L1 form.
    """

    def values(self, parts: Parts) -> Mapping[str, Value]:
        return {
            f"activation_distance/{part}/{norm}": Value(
                distance(
                    f"Mean {norm.upper()} distance from the retrained model's probabilities on "
                    f"the {part} set.",
                    high=high,
                ),
                partial(_distance_to_gold, part, norm),
            )
            for part in parts
            for norm, high in HIGHEST.items()
        }


def _distance_to_gold(part: str, norm: str, ctx: EvalContext) -> MetricValue:
    compare: Divergence = euclidean if norm == "l2" else absolute
    value = mean(divergences(ctx, compare, part, "gold"), low=0.0, high=HIGHEST[norm])
    return replace(value, extras=gold_null(ctx, part, partial(compared, compare)))


def euclidean(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return the Euclidean distance of probabilities ``(..., C)``, ``(...)`` in [0, sqrt 2]."""
    apart = (log_p.exp() - log_q.exp()).square().sum(dim=-1).sqrt()
    return apart.clamp_max(HIGHEST["l2"])  # rounding can leave the range by 1e-16


def absolute(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return the summed absolute difference of probabilities ``(..., C)``, ``(...)`` in [0, 2]."""
    return (log_p.exp() - log_q.exp()).abs().sum(dim=-1).clamp_max(HIGHEST["l1"])
