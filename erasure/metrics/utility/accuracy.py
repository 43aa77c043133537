"""Accuracy on every part."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.metric import Parts, Value, gold_if_forget, share
from erasure.core.values import MetricValue
from erasure.evaluation.signals import predictions
from erasure.evaluation.statistics.estimates import mean, proportion


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Share of correct predictions per part, every sample counting the same.

    On the forget set neither high nor low is good by itself: a model that never saw the samples
    still gets those right that resemble others, so the retrained model is the target. The
    extras hold the accuracy of each class that occurs.

    Where a sample has several labels it is the share of labels that are predicted right at a
    threshold of one half, one minus the Hamming loss; the extras hold the share of samples with
    all labels right, ``exact_match``, and the accuracy of each label.

    References:
        A. Golatkar et al., "Eternal Sunshine of the Spotless Net: Selective Forgetting in Deep
        Networks", CVPR 2020, arXiv:1911.04933: errors on forgotten, retained and test samples.
    """

    def values(self, parts: Parts) -> Mapping[str, Value]:
        return {
            f"{part}/accuracy": Value(
                share(
                    gold_if_forget(part, "max"), f"Share of correct predictions on the {part} set."
                ),
                partial(accuracy, part=part),
            )
            for part in parts
        }


def accuracy(ctx: EvalContext, part: str) -> MetricValue:
    """Return the share of correct predictions of the subject on a part."""
    targets = ctx.targets(part)
    right = predictions(ctx, part) == targets
    names = ctx.splits.part(part).pool.class_names
    if right.ndim > 1:
        return _of_labels(right, names)
    extras = {"per_class": _per_class(right, targets, names)}
    return proportion(int(right.sum().item()), len(right), extras)


def _of_labels(right: Tensor, names: tuple[str, ...]) -> MetricValue:
    # Labels of one sample are not independent: the interval is that of a mean over samples.
    shares = right.double().mean(dim=-1)
    extras: dict[str, Any] = {
        "exact_match": right.all(dim=-1).double().mean().item(),
        "per_class": dict(zip(names, right.double().mean(dim=0).tolist(), strict=True)),
    }
    return replace(mean(shares, low=0.0, high=1.0), extras=extras)


def _per_class(correct: Tensor, targets: Tensor, names: tuple[str, ...]) -> dict[str, float]:
    totals = targets.bincount(minlength=len(names))
    hits = targets[correct].bincount(minlength=len(names))
    counted = zip(names, hits.tolist(), totals.tolist(), strict=True)
    return {name: hit / total for name, hit, total in counted if total}
