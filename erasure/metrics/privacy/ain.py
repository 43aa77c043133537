"""The anamnesis index: relearning time beside that of the retrained model."""

from collections.abc import Mapping
from dataclasses import dataclass

from erasure.core.context import EvalContext
from erasure.core.metric import Parts, Value, amount
from erasure.core.values import MetricValue, NotComputableError


@dataclass(frozen=True, kw_only=True)
class AIN:
    """Steps in which a model relearns the forget set over those that the retrained one needs.

    It is computed from ``relearn/steps``, which has to be measured before it. Far below 1 the
    model still knows what it should have forgotten; far above 1 it was damaged in a way that
    gives the forget set away.

    Notes:
        Where the retrained model is at the target before its first step, as it is for most random
        forget sets, there is no index. Where one model never reached the target the ratio is a
        bound, and the extras say which (``bound``); where both did not there is none.

    References:
        V. Chundawat et al., "Zero-Shot Machine Unlearning", IEEE TIFS 2023, arXiv:2201.05629.
    """

    def values(self, parts: Parts) -> Mapping[str, Value]:
        ratio = amount(
            "closer_to_ideal",
            "Steps to relearn the forget set over those of the retrained model.",
            ideal=1.0,
        )
        return {"ain/value": Value(ratio, _ratio)}


def _ratio(ctx: EvalContext) -> MetricValue:
    steps, gold = ctx.measured("relearn/steps"), ctx.measured("relearn/steps", "gold")
    if gold.value == 0:
        raise NotComputableError("degenerate", "gold_at_target")
    censored = bool(steps.extras["censored"]), bool(gold.extras["censored"])
    if all(censored):
        raise NotComputableError("degenerate", "censored")
    # A censored number of steps is max_steps, the fewest that it can be.
    bound = {(False, False): "none", (True, False): "at_least", (False, True): "at_most"}[censored]
    return MetricValue(value=steps.value / gold.value, n=steps.n, extras={"bound": bound})
