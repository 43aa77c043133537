"""Accuracy class by class: the worst one, and the one that differs most from gold."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.metric import Parts, Value, gold_if_forget, share
from erasure.core.values import MetricValue
from erasure.evaluation.statistics.confusion import confusion
from erasure.evaluation.statistics.estimates import clopper_pearson


@dataclass(frozen=True, kw_only=True)
class PerClass:
    """Accuracy of single classes per part: the lowest, and the one farthest from gold's.

    ``worst`` is the lowest accuracy of a class, and ``largest_gap`` the largest absolute
    difference of a class's accuracy from that of the retrained model: after the removal of a
    class it shows what became of the classes that resemble it, which an average hides. The
    extras hold the accuracy, and the signed difference, of each class that occurs.
    """

    def values(self, parts: Parts) -> Mapping[str, Value]:
        values = {}
        for part in parts:
            lowest = share(
                gold_if_forget(part, "max"), f"Lowest accuracy of a class of the {part} set."
            )
            gap = share(
                "min",
                "Largest difference from the retrained model in the accuracy of a class of the "
                f"{part} set.",
                ideal=0.0,
            )
            values[f"per_class/{part}/worst"] = Value(lowest, partial(_worst, part=part))
            values[f"per_class/{part}/largest_gap"] = Value(gap, partial(_largest_gap, part=part))
        return values


def _worst(ctx: EvalContext, part: str) -> MetricValue:
    table = confusion(ctx, part)
    # A class without samples has no recall; 2 is above all that have one.
    worst = int(table.recalls.nan_to_num(nan=2.0).argmin().item())
    hits, total = (int(t[worst].item()) for t in (table.counts.diagonal(), table.totals))
    low, high = clopper_pearson(hits, total)
    extras = {
        "class": table.names[worst],
        "accuracy": table.named(table.recalls),
        "samples": table.named(table.totals),
    }
    return MetricValue(value=hits / total, ci_low=low, ci_high=high, n=total, extras=extras)


def _largest_gap(ctx: EvalContext, part: str) -> MetricValue:
    table = confusion(ctx, part)
    gaps = table.recalls - confusion(ctx.of("gold"), part).recalls
    # A class without samples has no gap; -1 is below all that have one.
    widest = int(gaps.abs().nan_to_num(nan=-1.0).argmax().item())
    extras = {"class": table.names[widest], "signed": table.named(gaps)}
    n = int(table.totals[widest].item())
    return MetricValue(value=gaps[widest].abs().item(), n=n, extras=extras)
