"""Tug of war: one score for forgetting, keeping and generalizing as the retrained model does."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.values import Meaning, MetricValue, NotComputableError, measure
from erasure.metrics.to_gold.gap import against_gold, check_names, resolved


@dataclass(frozen=True, kw_only=True)
class ToW:
    """Product of one minus the gap to the retrained model in each of several shares.

    With the accuracies on forget, retain and held-out set it is 1 exactly if all are those of
    the retrained model. The extras hold the signed differences, behind which a product hides.

    Args:
        of: Names of values in [0, 1] measured before this one; ``heldout`` stands for the
            held-out part.

    References:
        K. Zhao et al., "What Makes Unlearning Hard and What to Do About It", NeurIPS 2024,
        arXiv:2406.01257.
    """

    of: Sequence[str] = ("forget/accuracy", "retain/accuracy", "heldout/accuracy")

    def __post_init__(self) -> None:
        check_names(self.of)

    def schema(self, heldout: str) -> Mapping[str, Meaning]:
        names = [resolved(name, heldout) for name in self.of]
        return {"tow/score": tow_schema(names)}

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        return {"tow/score": measure(partial(tug_of_war, ctx, self.of))}


def tow_schema(names: Sequence[str]) -> Meaning:
    """Return the meaning of a product over metrics ``names``."""
    return Meaning(
        direction="max",
        low=0.0,
        high=1.0,
        ideal=1.0,
        description=f"Product of one minus the gap to the retrained model in {', '.join(names)}.",
    )


def tug_of_war(ctx: EvalContext, of: Sequence[str]) -> MetricValue:
    """Return the product over the metrics ``of``, and the signed differences.

    Raises:
        NotComputableError: If a value is missing, or not in [0, 1].
    """
    signed = {}
    for name in (resolved(name, ctx.heldout) for name in of):
        own, gold = against_gold(ctx, name)
        if not (0.0 <= own <= 1.0 and 0.0 <= gold <= 1.0):
            raise NotComputableError("degenerate", f"not_a_share:{name}")
        signed[name] = own - gold
    value = math.prod(1 - abs(difference) for difference in signed.values())
    return MetricValue(value=value, n=len(signed), extras={"signed": signed})
