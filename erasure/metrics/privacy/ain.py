"""The anamnesis index: relearning time beside that of the retrained model."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.values import Meaning, MetricValue, NotComputableError, measure


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

    def schema(self, heldout: str) -> Mapping[str, Meaning]:  # noqa: ARG002 - of forget alone
        return {
            "ain/value": Meaning(
                direction="closer_to_ideal",
                low=0.0,
                high=math.inf,
                ideal=1.0,
                description="Steps to relearn the forget set over those of the retrained model.",
            )
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        return {"ain/value": measure(partial(_ratio, ctx))}


def _ratio(ctx: EvalContext) -> MetricValue:
    own, gold = ctx.measured("relearn/steps"), ctx.measured("relearn/steps", "gold")
    if gold.value == 0:
        raise NotComputableError("degenerate", "gold_at_target")
    endless = bool(own.extras["censored"]), bool(gold.extras["censored"])
    if all(endless):
        raise NotComputableError("degenerate", "censored")
    bound = {(False, False): "none", (True, False): "at_least", (False, True): "at_most"}[endless]
    return MetricValue(value=own.value / gold.value, n=own.n, extras={"bound": bound})
