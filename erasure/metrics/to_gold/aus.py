"""Adaptive unlearning score: test accuracy kept, and forget accuracy where it should be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from erasure.core.context import EvalContext, Who
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Value, amount
from erasure.core.values import MetricValue, NotComputableError
from erasure.evaluation.signals import predictions, require_multiclass

Mode = Literal["auto", "random", "class"]


@dataclass(frozen=True, kw_only=True)
class AUS:
    """Accuracy kept on the held-out part, over one plus the distance of the forget accuracy.

    ``(1 - (test(original) - test(model))) / (1 + distance)``. After a random request forgotten
    samples should be predicted as well as unseen ones, and the distance is ``|forget(model) -
    test(model)|``. After the removal of classes they should not be predicted at all: it is the
    forget accuracy itself, and only held-out samples of the remaining classes count. The score
    can exceed 1 where a model is better than the original; it is not cut off.

    Args:
        mode: Which of the two forms. ``auto`` takes the class form if no retain sample is of a
            class in the forget set; the extras say which it was.

    References:
        M. Cotogni et al., "DUCK: Distance-based Unlearning via Centroid Kinematics", 2023,
        arXiv:2312.02052.
    """

    mode: Mode = "auto"

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise ConfigError(f"mode must be auto, random or class, got {self.mode!r}")

    def values(self, parts: Parts) -> Mapping[str, Value]:
        description = (
            f"Accuracy kept on the {parts.heldout} set, over one plus the distance of the forget "
            "accuracy from its target."
        )
        # 2 is reached by an original that is never right and a model that always is.
        return {"aus/score": Value(amount("max", description, high=2.0), self._score)}

    def _score(self, ctx: EvalContext) -> MetricValue:
        require_multiclass(ctx)
        class_form = self.mode == "class" or (self.mode == "auto" and _removes_classes(ctx))
        heldout_targets = ctx.targets(ctx.heldout)
        forgotten = torch.isin(heldout_targets, ctx.targets("forget"))
        counted = ~forgotten if class_form else torch.ones_like(forgotten)
        if not counted.any():
            raise NotComputableError("degenerate", "no_remaining_class")
        before = _accuracy(ctx, ctx.heldout, "original", counted)
        after = _accuracy(ctx, ctx.heldout, ctx.subject, counted)
        forget = _accuracy(ctx, "forget", ctx.subject, slice(None))
        extras = {
            "mode": "class" if class_form else "random",
            "original_accuracy": before,
            "accuracy": after,
            "forget_accuracy": forget,
        }
        distance = forget if class_form else abs(forget - after)
        return MetricValue(value=aus(before, after, distance), extras=extras)


def aus(before: float, after: float, distance: float) -> float:
    """Return the score of an accuracy ``before`` and ``after``, and a distance in [0, 1]."""
    return (1 - (before - after)) / (1 + distance)


def _removes_classes(ctx: EvalContext) -> bool:
    return not torch.isin(ctx.targets("retain"), ctx.targets("forget")).any()


def _accuracy(ctx: EvalContext, part: str, who: Who, counted: Tensor | slice) -> float:
    right = predictions(ctx, part, who) == ctx.targets(part)
    return right[counted].double().mean().item()
