"""Whether an evaluation can be trusted, by two models whose verdict is known."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import ClassVar

from erasure.core.context import EvalContext, Who
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Value, share
from erasure.core.values import MetricValue, NotComputableError

REACH = NormalDist().inv_cdf(0.995)
"""Standard errors to either side of chance within which 99 % of evaluations are."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Checks of the evaluation itself by two models whose verdict is known.

    One half of the retrained models must not be told from the other: ``ulira/auc`` of the
    retrained model is within 2.58 standard errors of 0.5, where it is in 99 % of evaluations; the
    error is that of random swaps of the halves. The original, which forgot nothing,
    must be told from them: the interval of its ``ulira/auc`` is above the value for the retrained
    model, and its ``klom/forget/mean`` is larger. Where original and retrained model predict the
    forget set equally well and nothing is detected, there may be nothing to detect, and the
    answer is NaN, ``not_discriminative``.

    It comes after ``ulira`` and ``klom``, and ``accuracy``, and is measured once, with the
    unlearned model.

    Args:
        min_contrast: Difference of original and retrained model in accuracy on the forget set,
            from which on there is something to detect.
    """

    subjects: ClassVar[tuple[Who, ...]] = ("unlearned",)

    min_contrast: float = 0.005

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_contrast < 1.0:
            raise ConfigError(f"min_contrast must be in [0, 1), got {self.min_contrast}")

    def values(self, parts: Parts) -> Mapping[str, Value]:
        inside = (
            "Whether the attack with many models is at chance on retrained models; 0 means that "
            "this evaluation sees differences where there are none."
        )
        detected = (
            "Whether a model that forgot nothing is told from retrained ones; 0 means that this "
            "evaluation misses what there is to see."
        )
        return {
            "audit/gold_inside_null": Value(share("max", inside, ideal=1.0), _gold_inside_null),
            "audit/identity_detected": Value(
                share("max", detected, ideal=1.0), self._identity_detected
            ),
        }

    def _identity_detected(self, ctx: EvalContext) -> MetricValue:
        attack, attack_null = (ctx.measured("ulira/auc", who) for who in ("original", "gold"))
        margins, margins_null = (
            ctx.measured("klom/forget/mean", who).value for who in ("original", "gold")
        )
        right, right_null = (
            ctx.measured("forget/accuracy", who).value for who in ("original", "gold")
        )
        contrast = abs(right - right_null)
        detected = attack.ci_low > max(0.5, attack_null.value) and margins > margins_null
        # A detection stands whatever the contrast: it shows that there was something to detect.
        if not detected and contrast < self.min_contrast:
            raise NotComputableError("degenerate", "not_discriminative")
        extras = {
            "ulira": attack.value,
            "ulira_gold": attack_null.value,
            "klom": margins,
            "klom_gold": margins_null,
            "contrast": contrast,
        }
        return MetricValue(value=float(detected), extras=extras)


def _gold_inside_null(ctx: EvalContext) -> MetricValue:
    attack = ctx.measured("ulira/auc", "gold")
    error = float(attack.extras.get("null_error", attack.extras["error"]))
    inside = abs(attack.value - 0.5) <= REACH * error
    return MetricValue(value=float(inside), extras={"ulira": attack.value, "error": error})
