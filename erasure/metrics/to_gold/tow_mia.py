"""Tug of war with an attack in place of the accuracy on the forget set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from erasure.core.metric import Parts, Value
from erasure.metrics.to_gold.gap import check_names, resolved
from erasure.metrics.to_gold.tow import tug_of_war


@dataclass(frozen=True, kw_only=True)
class ToWMIA:
    """The product of :class:`.ToW` with an attack's value among the shares.

    It ranks methods differently: one that predicts the forget set as the retrained model does
    can still be far more or less certain of it.

    Args:
        of: Names of values in [0, 1] measured before this one, the attack's first; ``heldout``
            stands for the held-out part.

    References:
        K. Zhao et al., "What Makes Unlearning Hard and What to Do About It", NeurIPS 2024,
        arXiv:2406.01257.
    """

    of: Sequence[str] = ("mia_efficacy_svc/confidence", "retain/accuracy", "heldout/accuracy")

    def __post_init__(self) -> None:
        check_names(self.of)

    def values(self, parts: Parts) -> Mapping[str, Value]:
        return {"tow_mia/score": tug_of_war([resolved(name, parts.heldout) for name in self.of])}
