"""Signs that a trial is not what it seems: nothing changed, or the parts share samples."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.values import Meaning, MetricValue, measure
from erasure.evaluation.costs import fact

DESCRIPTIONS = {
    "relative_weight_change": "Norm of the change of the weights over the norm of the weights.",
    "forget_output_change": "Change of the outputs on the forget set through unlearning.",
    "duplicates_forget_retain": "Forget samples that occur in the retain set as well.",
    "duplicates_forget_heldout": "Forget samples that occur in the held-out part as well.",
}
"""What each guard says, by the name of the fact it shows."""


@dataclass(frozen=True, kw_only=True)
class Guard:
    """How much unlearning moved the model, and how many forget samples are not the only copy.

    They belong to the unlearned model; for any other subject there is nothing to measure and the
    mapping is empty.
    """

    def schema(self, heldout: str) -> Mapping[str, Meaning]:  # noqa: ARG002 - no part in names
        return {
            f"guard/{name}": Meaning(
                direction="info",
                low=0.0,
                high=math.inf,
                description=f"{description} Of the unlearned model only.",
            )
            for name, description in DESCRIPTIONS.items()
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        if ctx.subject != "unlearned":
            return {}
        return {f"guard/{name}": measure(partial(fact, ctx, name)) for name in DESCRIPTIONS}
