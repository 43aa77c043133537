"""Distance of the probabilities from those of the retrained model."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.values import Meaning, MetricValue, measure
from erasure.evaluation.gold_null import gold_null
from erasure.evaluation.outputs import Divergence, compared, divergences
from erasure.evaluation.statistics.estimates import mean

HIGHEST = {"l2": math.sqrt(2), "l1": 2.0}
"""The distance of two different certainties."""


@dataclass(frozen=True, kw_only=True)
class ActivationDistance:
    """Mean distance between the probabilities of a model and of the retrained one, per part.

    ``l2`` is the Euclidean distance, ``l1`` the sum of absolute differences. Where a sample has
    several labels it is the mean over labels of the distance of the probabilities of off and on.
    With several retrained models in a pool the extras hold what it is between two of them.

    References:
        V. Chundawat et al., "Can Bad Teaching Induce Forgetting?", AAAI 2023, arXiv:2205.08096.
        A. Golatkar et al., "Mixed-Privacy Forgetting in Deep Networks", CVPR 2021,
        arXiv:2012.13431: the L1 form.
    """

    def schema(self, heldout: str) -> Mapping[str, Meaning]:
        return {
            f"activation_distance/{part}/{name}": Meaning(
                direction="min",
                low=0.0,
                high=high,
                ideal=0.0,
                description=f"Mean {name.upper()} distance from the retrained model's "
                f"probabilities on the {part} set.",
            )
            for part in ("forget", "retain", heldout)
            for name, high in HIGHEST.items()
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        return {
            f"activation_distance/{part}/{name}": measure(partial(_to_gold, ctx, part, name))
            for part in ctx.parts
            for name in HIGHEST
        }


def euclidean(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return the Euclidean distance of probabilities, in [0, sqrt 2]."""
    found = (log_p.exp() - log_q.exp()).square().sum(dim=-1).sqrt()
    return found.clamp_max(HIGHEST["l2"])


def absolute(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return the summed absolute difference of probabilities, in [0, 2]."""
    return (log_p.exp() - log_q.exp()).abs().sum(dim=-1).clamp_max(HIGHEST["l1"])


def _to_gold(ctx: EvalContext, part: str, name: str) -> MetricValue:
    distance: Divergence = euclidean if name == "l2" else absolute
    found = mean(divergences(ctx, distance, part, "gold"), low=0.0, high=HIGHEST[name])
    return replace(found, extras=gold_null(ctx, part, partial(compared, distance)))
