"""ROC arithmetic in O(n log n): exact counts, ties half, nothing interpolated."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from erasure.evaluation.statistics.estimates import Z
from erasure.evaluation.statistics.low_fpr import allowed_alarms


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

    It is 0 for perfect separation, where it understates what is not known: an interval is
    :func:`auc_interval`.

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


def auc_interval(positives: Tensor, negatives: Tensor) -> tuple[float, float]:
    """Return the interval of the AUC, NaN with fewer than two scores on a side.

    DeLong's error on the scale of log-odds, on which the interval stays in (0, 1) and covers
    near its ends too. Where it is 0, as for perfect separation, the interval is Newcombe's, whose
    error is that of the AUC which is tested and not of the one that was seen.

    References:
        G. Qin and L. Hotilovac, "Comparison of non-parametric confidence intervals for the area
        under the ROC curve", Statistical Methods in Medical Research 17, 2008; R. Newcombe,
        "Confidence intervals for an effect size measure based on the Mann-Whitney statistic, part
        2", Statistics in Medicine 25, 2006.
    """
    error, value = delong_error(positives, negatives), auc(roc(positives, negatives))
    if math.isnan(error):
        return math.nan, math.nan
    if error == 0 or value in (0.0, 1.0):
        return _score_interval(value, len(positives), len(negatives))
    reach = Z * error / (value * (1 - value))
    odds = math.log(value / (1 - value))
    return 1 / (1 + math.exp(reach - odds)), 1 / (1 + math.exp(-reach - odds))


def null_error(n_pos: int, n_neg: int) -> float:
    """Return the standard error of the AUC when both sides have the same distribution."""
    return math.sqrt((n_pos + n_neg + 1) / (12 * n_pos * n_neg))


def hits_at(curve: Roc, fpr: float) -> int:
    """Return the most positives a threshold catches while the empirical FPR is at most ``fpr``."""
    allowed = allowed_alarms(fpr, int(curve.alarms[-1].item()))
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


def _score_interval(value: float, n_pos: int, n_neg: int) -> tuple[float, float]:
    """Return the AUCs from which ``value`` is Z standard errors away, as Newcombe's method 5."""
    from scipy.optimize import brentq

    half = (n_pos + n_neg) / 2 - 1

    def excess(tested: float) -> float:
        """Squared distance minus what is allowed, negative within the interval."""
        spread = 1 + half * ((1 - tested) / (2 - tested) + tested / (1 + tested))
        return (value - tested) ** 2 - Z**2 * tested * (1 - tested) * spread / (n_pos * n_neg)

    ends = (1e-12, 1 - 1e-12)
    inside = min(max(value, 1e-9), 1 - 1e-9)
    low, high = (
        float(brentq(excess, *sorted((inside, end)))) if excess(end) > 0 else round(end)
        for end in ends
    )
    return low, high
