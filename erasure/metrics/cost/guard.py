"""Signs that a trial is not what it seems: nothing changed, or the parts share samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from erasure.core.context import EvalContext, Who
from erasure.core.metric import Parts, Value, amount

DESCRIPTIONS = {
    "relative_weight_change": "Norm of the change of the weights over the norm of the weights.",
    "forget_output_change": "Change of the outputs on the forget set through unlearning.",
    "duplicates_forget_retain": "Forget samples that occur in the retain set as well.",
    "duplicates_forget_heldout": "Forget samples that occur in the held-out part as well.",
}
"""What each guard says, by the name under which the trial noted it among its costs."""


@dataclass(frozen=True, kw_only=True)
class Guard:
    """How much unlearning moved the model, and how many forget samples are not the only copy.

    A method that changed nothing, or a forget set whose copies stay in training, makes every
    other number of the trial mean something else. They belong to the unlearned model; for any
    other subject there is nothing to measure.
    """

    subjects: ClassVar[tuple[Who, ...]] = ("unlearned",)

    def values(self, parts: Parts) -> Mapping[str, Value]:
        return {
            f"guard/{name}": Value(
                amount("info", f"{description} Of the unlearned model only."),
                partial(EvalContext.cost, name=name),
            )
            for name, description in DESCRIPTIONS.items()
        }
