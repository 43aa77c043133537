"""Memorization: how much being trained on a sample changes whether it is predicted right."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from erasure.core.context import EvalContext, ReferenceModels, ReferenceRole
from erasure.core.splits import View
from erasure.core.values import Meaning, MetricValue, NotComputableError, measure
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

    def schema(self, heldout: str) -> Mapping[str, Meaning]:
        return {
            f"memorization/{part}/mean": Meaning(
                direction="info",
                low=-1.0,
                high=1.0,
                description=f"Mean memorization of the {part} set: by how much training on a "
                "sample raises the chance to predict it.",
            )
            for part in ("forget", "retain", heldout)
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        if ctx.subject != "unlearned":
            return {}
        return {
            f"memorization/{part}/mean": measure(partial(_mean, ctx, part)) for part in ctx.parts
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
        variance += weight.square() * spread
        weights += weight
    there = weights > 0
    scores = torch.where(there, total / weights, torch.nan)
    return MemorizationScores(scores, torch.where(there, variance.sqrt() / weights, torch.nan))


def memorization_tensors(references: ReferenceModels, view: View) -> dict[str, Tensor]:
    """Return what ``split=difficulty split.path=...`` reads, of the samples that have a score.

    Returns:
        ``ids`` (n,) int64, ``memorization`` (n,) and its standard ``error`` (n,) float64; empty
        if there are no shadows, without which retained samples have no score.
    """
    if references.size("shadow") == 0:
        return {}
    found = memorization_scores(references, view)
    there = found.scores.isfinite()
    return {
        "ids": view.index.cpu()[there],
        "memorization": found.scores[there],
        "error": found.errors[there],
    }


def _difference(
    references: ReferenceModels, view: View, roles: tuple[ReferenceRole, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return scores of a family, their variances and weights ``(n,)``; 0 weight is no score."""
    targets = view.targets.cpu()
    kind = view.pool.task_type
    right = torch.cat([kind.correct(references.logits(role, view), targets) for role in roles])
    seen = torch.cat([references.trained_on(role, view) for role in roles])
    counts = [side.sum(dim=0).double() for side in (seen, ~seen)]
    rates = [
        (right & side).sum(dim=0).double() / count.clamp(min=1)
        for side, count in zip((seen, ~seen), counts, strict=True)
    ]
    spread = torch.zeros(len(view), dtype=torch.float64)
    for rate, count in zip(rates, counts, strict=True):
        spread += rate * (1 - rate) / count.clamp(min=1)
    enough = torch.minimum(counts[0], counts[1]) >= FEWEST
    weight = counts[0] * counts[1] / (counts[0] + counts[1])
    return rates[0] - rates[1], spread, torch.where(enough, weight, 0.0)


def _mean(ctx: EvalContext, part: str) -> MetricValue:
    if ctx.references is None:
        raise NotComputableError("skipped", "missing_pool")
    view = ctx.sampled(part)
    if len(view) == 0:
        raise NotComputableError("degenerate", "empty_split")
    found = memorization_scores(ctx.references, view)
    scores = found.scores[found.scores.isfinite()]
    if len(scores) == 0:
        lacking = part != "forget" and ctx.references.size("shadow") == 0
        if lacking:
            raise NotComputableError("skipped", "missing_shadow")
        raise NotComputableError("degenerate", "too_few")
    points = scores.quantile(scores.new_tensor([0.05, 0.5, 0.95])).tolist()
    extras = {
        "p05": points[0],
        "median": points[1],
        "p95": points[2],
        "without_score": len(view) - len(scores),
    }
    value = mean(scores, low=-1.0, high=1.0)
    return MetricValue(
        value=value.value, ci_low=value.ci_low, ci_high=value.ci_high, n=value.n, extras=extras
    )
