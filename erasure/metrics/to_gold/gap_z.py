"""Gaps to retraining, in units of how far retrained models are from one another."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from erasure.core.context import EvalContext, ReferenceRole
from erasure.core.errors import ConfigError
from erasure.core.values import Meaning, MetricValue, NotComputableError, measure
from erasure.evaluation.per_model import PerModel, per_model
from erasure.evaluation.pool_margins import halves
from erasure.evaluation.statistics.estimates import Z


@dataclass(frozen=True, kw_only=True)
class GapZ:
    """Mean of a method's models minus that of retrained ones, in their standard deviations.

    ``gap_z/forget/accuracy`` of 3 says that the accuracy on the forget set is where hardly any
    retrained model is. For the retrained model one half of its pool is compared with the other.

    Args:
        min_models: Fewest retrained models, at least 2.
    """

    needs_roles: ClassVar[tuple[ReferenceRole, ...]] = ("original", "unlearned", "gold")
    min_models: int = 5

    def __post_init__(self) -> None:
        if self.min_models < 2:
            raise ConfigError(f"min_models must be >= 2, got {self.min_models}")

    def schema(self, heldout: str) -> Mapping[str, Meaning]:
        return {
            f"gap_z/{name}": Meaning(
                direction="closer_to_ideal",
                low=-math.inf,
                high=math.inf,
                ideal=0.0,
                description=f"Mean {name} minus that of retrained models, in their standard "
                "deviations.",
            )
            for name in per_model(heldout)
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        return {
            f"gap_z/{name}": measure(partial(self._z, ctx, values))
            for name, values in per_model(ctx.heldout).items()
        }

    def _z(self, ctx: EvalContext, values: PerModel) -> MetricValue:
        theirs = values(ctx, "gold")
        if ctx.subject == "gold":
            ours, theirs = halves(theirs)
        else:
            ours = values(ctx, ctx.subject)
        if len(theirs) < self.min_models:
            raise NotComputableError("degenerate", "too_few")
        spread = theirs.std().item()
        if spread == 0:
            raise NotComputableError("degenerate", "golds_agree")
        gap, each = (ours.mean() - theirs.mean()).item(), (ours - theirs.mean()) / spread
        extras = {
            "gap": gap,
            "gold_mean": theirs.mean().item(),
            "gold_sd": spread,
            "golds": len(theirs),
            "share_within_95": (each.abs() <= Z).double().mean().item(),
        }
        return MetricValue(value=gap / spread, n=len(ours), extras=extras)
