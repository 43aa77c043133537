"""Whether an evaluation can be trusted, by two models whose verdict is known."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.values import Meaning, MetricValue, NotComputableError, measure

DESCRIPTIONS: Mapping[str, str] = {
    "gold_inside_null": "Whether the attack with many models is at chance on retrained models; "
    "0 means that this evaluation sees differences where there are none.",
    "identity_detected": "Whether a model that forgot nothing is told from retrained ones; "
    "0 means that this evaluation misses what there is to see.",
}


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Checks of the evaluation itself by two models whose verdict is known.

    One half of the retrained models must not be told from the other: ``ulira/auc`` of the
    retrained model is within three standard errors of 0.5. The original, which forgot nothing,
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

    min_contrast: float = 0.005

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_contrast < 1.0:
            raise ConfigError(f"min_contrast must be in [0, 1), got {self.min_contrast}")

    def schema(self, heldout: str) -> Mapping[str, Meaning]:  # noqa: ARG002 - no part in names
        return {
            f"audit/{name}": Meaning(
                direction="max", low=0.0, high=1.0, ideal=1.0, description=description
            )
            for name, description in DESCRIPTIONS.items()
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        if ctx.subject != "unlearned":
            return {}
        return {
            "audit/gold_inside_null": measure(partial(_gold_inside_null, ctx)),
            "audit/identity_detected": measure(partial(self._identity_detected, ctx)),
        }

    def _identity_detected(self, ctx: EvalContext) -> MetricValue:
        attack, null = ctx.measured("ulira/auc", "original"), ctx.measured("ulira/auc", "gold")
        apart = ctx.measured("klom/forget/mean", "original")
        together = ctx.measured("klom/forget/mean", "gold")
        above = attack.ci_low > max(0.5, null.value)
        farther = apart.value > together.value
        contrast = ctx.measured("forget/accuracy", "original").value
        contrast = abs(contrast - ctx.measured("forget/accuracy", "gold").value)
        if not (above and farther) and contrast < self.min_contrast:
            raise NotComputableError("degenerate", "not_discriminative")
        extras = {
            "ulira": attack.value,
            "ulira_gold": null.value,
            "klom": apart.value,
            "klom_gold": together.value,
            "contrast": contrast,
        }
        return MetricValue(value=float(above and farther), extras=extras)


def _gold_inside_null(ctx: EvalContext) -> MetricValue:
    found = ctx.measured("ulira/auc", "gold")
    error = float(found.extras["error"])
    inside = abs(found.value - 0.5) <= 3 * error
    return MetricValue(value=float(inside), extras={"ulira": found.value, "error": error})
