"""Accuracy class by class: the worst one, and the one that differs most from gold."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.values import Meaning, MetricValue, measure
from erasure.evaluation.statistics.confusion import confusion
from erasure.evaluation.statistics.estimates import clopper_pearson


@dataclass(frozen=True, kw_only=True)
class PerClass:
    """Accuracy of single classes, per part; the extras hold that of each class that occurs.

    ``worst`` is the lowest accuracy of a class, and ``largest_gap`` the largest absolute
    difference of a class's accuracy from that of the retrained model: after the removal of a
    class it shows what became of the classes that resemble it, which an average hides. The
    signed difference of each class is in the extras.
    """

    def schema(self, heldout: str) -> Mapping[str, Meaning]:
        found = {}
        for part in ("forget", "retain", heldout):
            found[f"per_class/{part}/worst"] = Meaning(
                direction="closer_to_gold" if part == "forget" else "max",
                low=0.0,
                high=1.0,
                description=f"Lowest accuracy of a class of the {part} set.",
            )
            found[f"per_class/{part}/largest_gap"] = Meaning(
                direction="min",
                low=0.0,
                high=1.0,
                ideal=0.0,
                description=f"Largest difference from the retrained model in the accuracy of a "
                f"class of the {part} set.",
            )
        return found

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        return {
            f"per_class/{part}/{name}": measure(partial(compute, ctx, part))
            for part in ctx.parts
            for name, compute in (("worst", _worst), ("largest_gap", _largest_gap))
        }


def _worst(ctx: EvalContext, part: str) -> MetricValue:
    found = confusion(ctx, part)
    place = int(found.recalls.nan_to_num(nan=2.0).argmin().item())
    hits, total = (int(t[place].item()) for t in (found.counts.diagonal(), found.totals))
    low, high = clopper_pearson(hits, total)
    extras = {
        "class": found.names[place],
        "accuracy": found.named(found.recalls),
        "samples": found.named(found.totals),
    }
    return MetricValue(value=hits / total, ci_low=low, ci_high=high, n=total, extras=extras)


def _largest_gap(ctx: EvalContext, part: str) -> MetricValue:
    found = confusion(ctx, part)
    signed = found.recalls - confusion(ctx.of("gold"), part).recalls
    place = int(signed.abs().nan_to_num(nan=-1.0).argmax().item())
    extras = {"class": found.names[place], "signed": found.named(signed)}
    return MetricValue(
        value=signed[place].abs().item(), n=int(found.totals[place].item()), extras=extras
    )
