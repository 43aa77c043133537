"""F1: the harmonic mean of precision and recall."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from erasure.core.context import EvalContext
from erasure.core.metric import Parts, Value, gold_if_forget, share
from erasure.core.values import MetricValue
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

    def values(self, parts: Parts) -> Mapping[str, Value]:
        return {
            f"f1/{part}/{average}": Value(
                share(gold_if_forget(part, "max"), f"F1 on the {part} set, {how}."),
                partial(_f1, part=part, average=average),
            )
            for part in parts
            for average, how in AVERAGES.items()
        }


def _f1(ctx: EvalContext, part: str, average: str) -> MetricValue:
    table = confusion(ctx, part)
    n = int(table.totals.sum().item())
    if average == "micro":
        return MetricValue(value=(table.counts.trace() / n).item(), n=n)
    if average == "weighted":
        # A class that neither occurs nor is predicted has NaN and weight 0, which is NaN again.
        return MetricValue(value=(table.f1.nan_to_num() @ table.totals / n).item(), n=n)
    value, extras = _macro(table)
    return MetricValue(value=value, n=n, extras=extras)


def _macro(table: Confusion) -> tuple[float, dict[str, Any]]:
    if int(table.occurs.sum().item()) == 1:
        only = int(table.occurs.double().argmax().item())
        return table.recalls[only].item(), {"only_class": table.names[only]}
    return table.f1.nanmean().item(), {"per_class": table.named(table.f1)}
