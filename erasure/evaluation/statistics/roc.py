"""ROC arithmetic in O(n log n): exact counts, ties half, nothing interpolated."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Roc:
    """What an attack gets at each of its thresholds, from the strictest to the loosest.

    Args:
        hits: Positives whose score reaches the threshold, ``(T + 1,)`` int64, from 0.
        alarms: Negatives whose score reaches the threshold, ``(T + 1,)`` int64, from 0.
        thresholds: ``(T + 1,)`` float64, falling; the first, infinity, catches nobody.
    """

    hits: Tensor
    alarms: Tensor
    thresholds: Tensor

    @property
    def tpr(self) -> Tensor:
        """True-positive rate at each threshold, ``(T + 1,)`` float64."""
        return self.hits.double() / self.hits[-1]

    @property
    def fpr(self) -> Tensor:
        """False-positive rate at each threshold, ``(T + 1,)`` float64."""
        return self.alarms.double() / self.alarms[-1]


def roc(positives: Tensor, negatives: Tensor) -> Roc:
    """Return the ROC of scores that should be higher for positives; neither side is empty.

    Args:
        positives: Scores ``(n_pos,)``.
        negatives: Scores ``(n_neg,)``.
    """
    values, rank = torch.cat([positives, negatives]).double().unique(return_inverse=True)
    sides = (rank[: len(positives)], rank[len(positives) :])
    hits, alarms = (_reached(side, len(values)) for side in sides)
    # Thresholds fall, so that the curve begins where nobody is caught.
    return Roc(hits, alarms, torch.cat([values.new_tensor([torch.inf]), values.flip(0)]))


def auc(curve: Roc) -> float:
    """Return the probability that a positive outscores a negative, ties counting half."""
    # The trapezoidal rule in whole numbers: rounding happens once, in the division.
    wins = (curve.alarms.diff() * (curve.hits[1:] + curve.hits[:-1])).sum().item()
    return wins / (2 * curve.hits[-1].item() * curve.alarms[-1].item())


def delong_error(positives: Tensor, negatives: Tensor) -> float:
    """Return the standard error of the AUC; NaN with fewer than two scores on a side.

    It is 0 for perfect separation, where it understates what is not known.

    References:
        E. DeLong et al., "Comparing the areas under two or more correlated receiver operating
        characteristic curves", Biometrics 44, 1988.
    """
    if min(len(positives), len(negatives)) < 2:
        return math.nan
    # The variance of a two-sample U-statistic: that of its projections on either sample.
    above = _beaten(positives, negatives).var() / len(positives)
    below = _beaten(negatives, positives).var() / len(negatives)
    return math.sqrt((above + below).item())


def null_error(n_pos: int, n_neg: int) -> float:
    """Return the standard error of the AUC when both sides have the same distribution."""
    return math.sqrt((n_pos + n_neg + 1) / (12 * n_pos * n_neg))


def hits_at(curve: Roc, fpr: float) -> int:
    """Return the most positives a threshold catches while the empirical FPR is at most ``fpr``."""
    allowed = math.floor(fpr * curve.alarms[-1].item() + 1e-9)  # 0.29 * 100 is 28.999...
    return int(curve.hits[curve.alarms <= allowed].max().item())


def best_balanced_accuracy(curve: Roc) -> tuple[float, float]:
    """Return the largest mean of TPR and TNR, and the strictest threshold that reaches it."""
    accuracy = (curve.tpr + 1 - curve.fpr) / 2
    best = (accuracy == accuracy.max()).nonzero()[0, 0]
    return accuracy[best].item(), curve.thresholds[best].item()


def _reached(ranks: Tensor, num_values: int) -> Tensor:
    """Return how many have at least each distinct value, from the largest down, after a 0."""
    counts = ranks.bincount(minlength=num_values).flip(0).cumsum(0)
    return torch.cat([counts.new_zeros(1), counts])


def _beaten(scores: Tensor, opponents: Tensor) -> Tensor:
    """Return the share of opponents (m,) below each score (n,), ties half, ``(n,)``."""
    ranked, scores = opponents.double().sort().values, scores.double()
    below = torch.searchsorted(ranked, scores)
    not_above = torch.searchsorted(ranked, scores, right=True)
    return (below + not_above).double() / (2 * len(ranked))
