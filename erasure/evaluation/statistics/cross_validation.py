"""Means over folds or repeated splits, whose models have most of their samples in common."""

import math

import torch
from torch import Tensor

from erasure.evaluation.statistics.estimates import clopper_pearson, t_interval
from erasure.evaluation.statistics.roc import auc, roc


def resampled_interval(values: Tensor, *, tested: float, n: int) -> tuple[float, float]:
    """Return the interval of a mean over splits of the same samples, within [0, 1].

    The variance of the mean is ``(1 / k + tested / (1 - tested))`` times that of the values, as
    corrected by Nadeau and Bengio, for Student's t with k - 1 degrees of freedom. Without the
    second term, as if splits were independent, it covers 66 to 90 %.

    Args:
        values: What each of k splits gave, ``(k,)`` in [0, 1].
        tested: Share of the samples that a split tests on.
        n: Samples tested on, each counted once: where all splits gave 0, or all 1, the interval
            is the exact one of so many samples. It is NaN where they agree on another value.

    References:
        C. Nadeau and Y. Bengio, "Inference for the Generalization Error", Machine Learning 52,
        2003.
    """
    values = values.double()
    value, k = values.mean().item(), len(values)
    if bool((values == values[0]).all()):
        return clopper_pearson(value * n, n) if value in (0.0, 1.0) else (math.nan, math.nan)
    error = values.std().item() * math.sqrt(1 / k + tested / (1 - tested))
    low, high = t_interval(value, error, k - 1)
    return max(0.0, low), min(1.0, high)


def auc_by_fold(scores: Tensor, positive: Tensor, fold: Tensor, folds: int) -> Tensor:
    """Return the area under the ROC curve within each fold, ``(folds,)`` float64.

    Scores of two folds come from two models and are not compared: what a fold has more of is
    missing where its model was fitted, so the area over all of them is below 0.5 where there is
    nothing to find, 0.465 at 30 samples a side.

    Args:
        scores: Out-of-fold scores ``(n,)``.
        positive: ``(n,)`` bool.
        fold: ``(n,)`` int64; each has samples of both sides.
        folds: How many there are.
    """
    inside = [fold == number for number in range(folds)]
    areas = [auc(roc(scores[rows & positive], scores[rows & ~positive])) for rows in inside]
    return torch.tensor(areas, dtype=torch.float64)
