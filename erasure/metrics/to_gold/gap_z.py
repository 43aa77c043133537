"""Gaps to retraining, in units of how far retrained models are from one another."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Value
from erasure.core.references import ReferenceRole
from erasure.core.values import Meaning, MetricValue, NotComputableError
from erasure.evaluation.per_model import PerModel, per_model
from erasure.evaluation.reference_margins import halves
from erasure.evaluation.statistics.estimates import Z


@dataclass(frozen=True, kw_only=True)
class GapZ:
    """Mean of a method's models minus that of retrained ones, in their standard deviations.

    ``gap_z/forget/accuracy`` of 3 says that the accuracy on the forget set is where hardly any
    retrained model is. It is there for the accuracies and the loss attack, which are known of
    every reference model. For the retrained model one half of those is compared with the
    other. Where all retrained models have the same value there is none (``golds_agree``).

    Args:
        min_models: Fewest retrained models, at least 2.

    References:
        The standard score of any textbook; of no paper on unlearning that we know.
    """

    needs_roles: ClassVar[tuple[ReferenceRole, ...]] = ("original", "unlearned", "gold")
    min_models: int = 5

    def __post_init__(self) -> None:
        if self.min_models < 2:
            raise ConfigError(f"min_models must be >= 2, got {self.min_models}")

    def values(self, parts: Parts) -> Mapping[str, Value]:
        return {
            f"gap_z/{name}": Value(
                Meaning(
                    direction="closer_to_ideal",
                    low=-math.inf,
                    high=math.inf,
                    ideal=0.0,
                    description=f"Mean {name} minus that of retrained models, in their standard "
                    "deviations.",
                ),
                partial(self._z, values),
            )
            for name, values in per_model(parts.heldout).items()
        }

    def _z(self, values: PerModel, ctx: EvalContext) -> MetricValue:
        gold = values(ctx, "gold")
        if ctx.subject == "gold":
            subject, gold = halves(gold)
        else:
            subject = values(ctx, ctx.subject)
        # Of what is left: the retrained model has half as many to compare with.
        if len(gold) < self.min_models:
            raise NotComputableError("degenerate", "too_few")
        spread = gold.std().item()
        if spread == 0:
            raise NotComputableError("degenerate", "golds_agree")
        gap, scores = (subject.mean() - gold.mean()).item(), (subject - gold.mean()) / spread
        extras = {
            "gap": gap,
            "gold_mean": gold.mean().item(),
            "gold_sd": spread,
            "golds": len(gold),
            "share_within_95": (scores.abs() <= Z).double().mean().item(),
        }
        return MetricValue(value=gap / spread, n=len(subject), extras=extras)
