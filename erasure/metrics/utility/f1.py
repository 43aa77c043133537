"""F1: the harmonic mean of precision and recall."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from erasure.core.context import EvalContext
from erasure.core.values import Meaning, MetricValue, measure
from erasure.evaluation.statistics.confusion import Confusion, confusion

AVERAGES = {
    "macro": "mean over the classes that occur or are predicted",
    "micro": "over all decisions at once, which is the accuracy",
    "weighted": "mean over classes weighted by their number of samples",
}
"""How the classes are put together."""


@dataclass(frozen=True, kw_only=True)
class F1:
    """F1 per part, averaged in three ways.

    On a part with samples of a single class precision means nothing; there ``macro`` is the
    recall of that class, and the extras name it as ``only_class``.

    References:
        C. van Rijsbergen, "Information Retrieval", 2nd edition, 1979.
    """

    def schema(self, heldout: str) -> Mapping[str, Meaning]:
        return {
            f"f1/{part}/{name}": Meaning(
                direction="closer_to_gold" if part == "forget" else "max",
                low=0.0,
                high=1.0,
                description=f"F1 on the {part} set, {how}.",
            )
            for part in ("forget", "retain", heldout)
            for name, how in AVERAGES.items()
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        return {
            f"f1/{part}/{name}": measure(partial(_f1, ctx, part, name))
            for part in ctx.parts
            for name in AVERAGES
        }


def _f1(ctx: EvalContext, part: str, average: str) -> MetricValue:
    found = confusion(ctx, part)
    n = int(found.totals.sum().item())
    if average == "micro":
        return MetricValue(value=(found.counts.trace() / n).item(), n=n)
    if average == "weighted":
        return MetricValue(value=(found.f1.nan_to_num() @ found.totals / n).item(), n=n)
    value, extras = _macro(found)
    return MetricValue(value=value, n=n, extras=extras)


def _macro(found: Confusion) -> tuple[float, dict[str, Any]]:
    if int(found.occurs.sum().item()) == 1:
        place = int(found.occurs.double().argmax().item())
        return found.recalls[place].item(), {"only_class": found.names[place]}
    return found.f1.nanmean().item(), {"per_class": found.named(found.f1)}
