"""Accuracy on every part."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.metric import Measured, MetricSchema, measure
from erasure.evaluation.estimates import proportion
from erasure.evaluation.signals import predictions


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Share of correct predictions per part, every sample counting the same.

    On the forget set neither high nor low is good by itself: a model that never saw the samples
    still gets those right that resemble others, so the retrained model is the target. The
    extras hold the accuracy of each class that occurs.
    """

    def schema(self, heldout: str) -> Mapping[str, MetricSchema]:
        return {
            f"{part}/accuracy": MetricSchema(
                direction="closer_to_gold" if part == "forget" else "max",
                low=0.0,
                high=1.0,
                description=f"Share of correct predictions on the {part} set.",
            )
            for part in ("forget", "retain", heldout)
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, Measured]:
        return {f"{part}/accuracy": measure(partial(_accuracy, ctx, part)) for part in ctx.parts}


def _accuracy(ctx: EvalContext, part: str) -> Measured:
    targets = ctx.targets(part)
    correct = predictions(ctx, part) == targets
    names = ctx.splits.part(part).pool.class_names
    extras = {"per_class": _per_class(correct, targets, names)}
    return proportion(int(correct.sum().item()), len(correct), extras)


def _per_class(correct: Tensor, targets: Tensor, names: tuple[str, ...]) -> dict[str, float]:
    totals = targets.bincount(minlength=len(names))
    hits = targets[correct].bincount(minlength=len(names))
    counted = zip(names, hits.tolist(), totals.tolist(), strict=True)
    return {name: hit / total for name, hit, total in counted if total}
