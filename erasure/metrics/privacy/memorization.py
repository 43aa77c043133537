"""Memorization: how much being trained on a sample changes whether it is predicted right."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from erasure.core.context import EvalContext, Who
from erasure.core.metric import Parts, Value
from erasure.core.references import ReferenceModels, ReferenceRole
from erasure.core.splits import View
from erasure.core.values import Meaning, MetricValue, NotComputableError
from erasure.evaluation.statistics.estimates import mean

FEWEST = 2
"""Models that must have seen a sample, and that must not, for it to have a score."""

FAMILIES: tuple[tuple[ReferenceRole, ...], ...] = (("original", "gold"), ("shadow",))
"""Roles whose models differ in their samples and not in how many they saw."""


class MemorizationScores(NamedTuple):
    """Scores of some samples.

    Args:
        scores: ``(n,)`` float64 in [-1, 1]; NaN where there are too few models.
        errors: Their standard errors, ``(n,)`` float64, from binomial counts.
    """

    scores: Tensor
    errors: Tensor


@dataclass(frozen=True, kw_only=True)
class Memorization:
    """Mean memorization per part: ``P[correct | trained on it] - P[correct | not]``.

    It says nothing of a method but of the forget set: what is not memorized is a negative
    control, on which no attack should find anything. Forgotten samples have scores from
    originals against retrained models, and all samples from shadows; it is measured once, with
    the unlearned model.

    References:
        V. Feldman, "Does learning require memorization? A short tale about a long tail", STOC
        2020, arXiv:1906.05271.
    """

    needs_roles: ClassVar[tuple[ReferenceRole, ...]] = ("original", "gold", "shadow")
    subjects: ClassVar[tuple[Who, ...]] = ("unlearned",)

    def values(self, parts: Parts) -> Mapping[str, Value]:
        return {
            f"memorization/{part}/mean": Value(_meaning(part), partial(_mean, part=part))
            for part in parts
        }


def memorization_scores(references: ReferenceModels, view: View) -> MemorizationScores:
    """Return the memorization of the samples of a view by all reference models there are.

    Originals and retrained models are one family, shadows another: within a family the training
    sets are of about one size, so that a difference is due to the sample. A sample with models
    of either kind in both families gets the mean of both scores, weighted by their models.

    Args:
        references: The reference models.
        view: The samples.
    """
    total, weights = torch.zeros(2, len(view), dtype=torch.float64)
    variance = torch.zeros(len(view), dtype=torch.float64)
    for family in FAMILIES:
        roles = tuple(role for role in family if references.size(role))
        if not roles:
            continue
        difference, spread, weight = _difference(references, view, roles)
        total += weight * difference
        # Of a sum of independent scores, each times its weight.
        variance += weight.square() * spread
        weights += weight
    has_score = weights > 0
    scores = torch.where(has_score, total / weights, torch.nan)
    errors = torch.where(has_score, variance.sqrt() / weights, torch.nan)
    return MemorizationScores(scores, errors)


def memorization_tensors(references: ReferenceModels, view: View) -> dict[str, Tensor]:
    """Return what ``split=difficulty split.path=...`` reads, of the samples that have a score.

    Returns:
        ``ids`` (n,) int64, ``memorization`` (n,) and its standard ``error`` (n,) float64; empty
        if there are no shadows, without which retained samples have no score.
    """
    if references.size("shadow") == 0:
        return {}
    scores, errors = memorization_scores(references, view)
    has_score = scores.isfinite()
    return {
        "ids": view.index.cpu()[has_score],
        "memorization": scores[has_score],
        "error": errors[has_score],
    }


def _difference(
    references: ReferenceModels, view: View, roles: tuple[ReferenceRole, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return scores of a family, their variances and weights ``(n,)``; 0 weight is no score."""
    targets = view.targets.cpu()
    correct = view.pool.task_type.correct
    right = torch.cat([correct(references.logits(role, view), targets) for role in roles])
    seen = torch.cat([references.trained_on(role, view) for role in roles])
    counts = [side.sum(dim=0).double() for side in (seen, ~seen)]
    rates = [
        # A sample without models on a side gets weight 0 below, whatever its rate.
        (right & side).sum(dim=0).double() / count.clamp(min=1)
        for side, count in zip((seen, ~seen), counts, strict=True)
    ]
    spread = torch.zeros(len(view), dtype=torch.float64)
    for rate, count in zip(rates, counts, strict=True):
        spread += rate * (1 - rate) / count.clamp(min=1)
    enough = torch.minimum(counts[0], counts[1]) >= FEWEST
    # The variance of a difference of two means goes as 1 / a + 1 / b; this is its inverse.
    weight = counts[0] * counts[1] / (counts[0] + counts[1])
    return rates[0] - rates[1], spread, torch.where(enough, weight, 0.0)


def _meaning(part: str) -> Meaning:
    return Meaning(
        direction="info",
        low=-1.0,
        high=1.0,
        description=f"Mean memorization of the {part} set: by how much training on a sample "
        "raises the chance to predict it.",
    )


def _mean(ctx: EvalContext, part: str) -> MetricValue:
    if ctx.references is None:
        raise NotComputableError("skipped", "missing_references")
    view = ctx.sampled(part)
    if len(view) == 0:
        raise NotComputableError("degenerate", "empty_split")
    all_scores = memorization_scores(ctx.references, view).scores
    scores = all_scores[all_scores.isfinite()]
    if len(scores) == 0:
        # Originals and retrained models differ by the forget set only.
        if part != "forget" and ctx.references.size("shadow") == 0:
            raise NotComputableError("skipped", "missing_shadow")
        raise NotComputableError("degenerate", "too_few")
    p05, median, p95 = scores.quantile(scores.new_tensor([0.05, 0.5, 0.95])).tolist()
    without_score = len(view) - len(scores)
    extras = {"p05": p05, "median": median, "p95": p95, "without_score": without_score}
    return replace(mean(scores, low=-1.0, high=1.0), extras=extras)
