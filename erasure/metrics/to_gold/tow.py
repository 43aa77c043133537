"""Tug of war: one score for forgetting, keeping and generalizing as the retrained model does."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.metric import Parts, Value, share
from erasure.core.values import MetricValue, NotComputableError
from erasure.metrics.to_gold.gap import check_names, resolved, subject_and_gold


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

    def values(self, parts: Parts) -> Mapping[str, Value]:
        return {"tow/score": tug_of_war([resolved(name, parts.heldout) for name in self.of])}


def tug_of_war(names: Sequence[str]) -> Value:
    """Return the product of one minus the gap to the retrained model in each of ``names``."""
    description = f"Product of one minus the gap to the retrained model in {', '.join(names)}."
    return Value(share("max", description, ideal=1.0), partial(_product, names))


def _product(names: Sequence[str], ctx: EvalContext) -> MetricValue:
    signed = {}
    for name in names:
        value, gold = subject_and_gold(ctx, name)
        # Out of [0, 1] a gap can exceed 1, and two negative factors would make a good score.
        if not (0.0 <= value <= 1.0 and 0.0 <= gold <= 1.0):
            raise NotComputableError("degenerate", f"not_a_share:{name}")
        signed[name] = value - gold
    product = math.prod(1 - abs(difference) for difference in signed.values())
    return MetricValue(value=product, n=len(signed), extras={"signed": signed})
