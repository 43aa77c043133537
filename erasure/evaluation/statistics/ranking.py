"""Areas under ROC and precision-recall curves of many classes at once, ties counted exactly."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.values import MetricValue, NotComputableError

BLOCK = 4_000_000
"""Scores that are sorted at a time."""


@dataclass(frozen=True)
class _RankedScores:
    """Where the scores of C classes lie among those of their class, each sorted upwards.

    Args:
        positive: Which samples have the class, ``(C, n)`` bool.
        below: Scores smaller than each, ``(C, n)`` int64.
        not_above: Scores not larger than each, ``(C, n)`` int64.
    """

    positive: Tensor
    below: Tensor
    not_above: Tensor


def roc_areas(scores: Tensor, positive: Tensor) -> Tensor:
    """Return the area under the ROC curve of each class, ``(C,)`` float64.

    Args:
        scores: ``(n, C)``, higher for likelier members of a class.
        positive: ``(n, C)`` bool.

    Returns:
        NaN for a class without positives or without negatives.
    """
    return _blockwise(_roc_areas, scores, positive)


def average_precisions(scores: Tensor, positive: Tensor) -> Tensor:
    """Return the average precision of each class, ``(C,)`` float64.

    That is the area under the precision-recall curve by steps, not interpolated. Arguments and
    NaN are those of :func:`roc_areas`.

    References:
        M. Zhu, "Recall, Precision and Average Precision", University of Waterloo 2004.
    """
    return _blockwise(_average_precisions, scores, positive)


def mean_area(
    ctx: EvalContext, part: str, scores: Tensor, areas: Callable[..., Tensor]
) -> MetricValue:
    """Return the mean area of the classes that have positives and negatives on a part.

    Args:
        ctx: The evaluation.
        part: The samples.
        scores: ``(n, C)``.
        areas: :func:`roc_areas` or :func:`average_precisions`.

    Raises:
        NotComputableError: If no class has both.
    """
    of_classes = areas(scores, ctx.task_type.indicators(ctx.targets(part), ctx.num_classes))
    defined = of_classes.isfinite().nonzero().squeeze(-1).tolist()
    if not defined:
        raise NotComputableError("degenerate", "one_class")
    names = ctx.splits.part(part).pool.class_names
    extras = {"per_class": {names[c]: of_classes[c].item() for c in defined}}
    return MetricValue(value=of_classes[defined].mean().item(), n=len(scores), extras=extras)


def _blockwise(
    areas: Callable[[_RankedScores], Tensor], scores: Tensor, positive: Tensor
) -> Tensor:
    size = max(1, BLOCK // len(scores))
    blocks = zip(scores.split(size, dim=1), positive.split(size, dim=1), strict=True)
    return torch.cat([areas(_sort(*block)) for block in blocks])


def _sort(scores: Tensor, positive: Tensor) -> _RankedScores:
    values, order = scores.T.contiguous().sort(dim=-1)
    below = torch.searchsorted(values, values)
    not_above = torch.searchsorted(values, values, right=True)
    return _RankedScores(positive.T.gather(-1, order), below, not_above)


def _roc_areas(scores: _RankedScores) -> Tensor:
    num_pos = scores.positive.sum(dim=-1).double()
    num_neg = scores.positive.shape[-1] - num_pos
    # The Mann-Whitney statistic: the ranks of the positives, from 1, ties sharing their mean
    # rank, less what they would add up to if every positive lost to every negative.
    ranks = (scores.below + scores.not_above + 1).double() / 2
    wins = ranks.where(scores.positive, 0.0).sum(dim=-1) - num_pos * (num_pos + 1) / 2
    return wins / (num_pos * num_neg)  # 0 / 0 is the NaN that is promised


def _average_precisions(scores: _RankedScores) -> Tensor:
    size = scores.positive.shape[-1]
    num_pos = scores.positive.sum(dim=-1, keepdim=True)
    # Entry k counts the positives among the k lowest scores; below is such a k.
    lowest = torch.cat(
        [num_pos.new_zeros(len(num_pos), 1), scores.positive.cumsum(dim=-1)], dim=-1
    )
    caught = num_pos - lowest.gather(-1, scores.below)  # positives with at least this score
    precision = caught.double() / (size - scores.below)
    mean = precision.where(scores.positive, 0.0).sum(dim=-1) / num_pos.squeeze(-1)
    return mean.where(num_pos.squeeze(-1) < size, torch.nan)
