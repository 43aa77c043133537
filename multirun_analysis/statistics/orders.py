"""Kendall's score of pairs in the same order, over groups, with its exact distribution.

scipy's ``kendalltau`` counts the pairs of one group; it knows no groups, and has no exact
distribution where values are tied.
"""

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from multirun_analysis.statistics.values import Floats

TIED = 7
"""Largest group with ties of which all orders are tried: 5040."""
COUNTED = 60
"""Largest number of units whose distribution is counted."""


@dataclass(frozen=True, kw_only=True)
class Concordance:
    """Concordant minus discordant pairs, where a pair is of one group.

    Args:
        score: Concordant minus discordant pairs.
        scale: Largest score in magnitude, with ties taken off as in tau-b; 0 if there is no pair.
        p: Two-sided p-value under random order within groups.
    """

    score: float
    scale: float
    p: float


def concordance(x: Floats, y: Floats, codes: NDArray[np.intp]) -> Concordance:
    """Count pairs of values ``(n,)`` within groups that are in the same order.

    The p-value is exact for up to 60 units, unless a group of more than 7 has ties; otherwise
    it is the normal approximation with the variance corrected for ties.

    Args:
        x: One variable.
        y: The other.
        codes: Group of each unit, from 0.
    """
    score = first = second = variance = 0.0
    # the distribution of a sum is a convolution; of no group it is 1 at score 0
    exact = np.ones(1) if len(x) <= COUNTED else None
    for code in range(int(codes.max(initial=-1)) + 1):
        a, b = x[codes == code], y[codes == code]
        same, pairs_x, pairs_y = _scores(a, b)
        score += same
        first += pairs_x
        second += pairs_y
        variance += _variance(a, b)
        distribution = None if exact is None else _distribution(a, b)
        exact = None if exact is None or distribution is None else np.convolve(exact, distribution)
    scale = float(np.sqrt(first * second))
    p = _normal(score, variance) if exact is None else _exact(score, exact)
    return Concordance(score=score, scale=scale, p=p)


def _scores(x: Floats, y: Floats) -> tuple[float, float, float]:
    """Return the score, and how many pairs are not tied in ``x`` and in ``y``."""
    from scipy import stats

    first, second = _untied_pairs(x), _untied_pairs(y)
    # kendalltau is NaN where a variable does not vary; such a group has no score
    if first == 0.0 or second == 0.0:
        return 0.0, first, second
    # tau-b is the score, a whole number, over this scale
    tau = stats.kendalltau(x, y).statistic
    return float(np.rint(tau * (first * second) ** 0.5)), first, second


def _untied_pairs(values: Floats) -> float:
    ties = np.unique(values, return_counts=True)[1].astype(np.float64)
    n = len(values)
    return float(n * (n - 1) - np.sum(ties * (ties - 1))) / 2


def _distribution(x: Floats, y: Floats) -> Floats | None:
    """Return the probabilities of scores ``-m ... m`` with ``m = n (n - 1) / 2``, or None."""
    n = len(x)
    if len(np.unique(x)) == n and len(np.unique(y)) == n:
        return _inversions(n)
    if n > TIED:
        return None
    a = np.sign(x[:, None] - x)
    b = np.sign(y[:, None] - y)
    orders = np.array(list(permutations(range(n))))
    # b rearranged, (n!, n, n), against a: each pair is in both triangles, hence the half
    scores = np.sum(b[orders[:, :, None], orders[:, None, :]] * a, axis=(1, 2)) / 2
    most = n * (n - 1) // 2
    # shifted by m, as an index starts at 0
    counts = np.bincount(np.rint(scores).astype(np.intp) + most, minlength=2 * most + 1)
    probabilities: Floats = counts / len(orders)
    return probabilities


def _inversions(n: int) -> Floats:
    """Return the distribution of the score of a random order, from that of its inversions."""
    inversions = np.ones(1)
    for k in range(2, n + 1):
        # the k-th unit passes 0 ... k - 1 of those before it, all equally likely
        inversions = np.convolve(inversions, np.full(k, 1.0 / k))
    # the score is m - 2 inversions: every other entry
    spread = np.zeros(2 * len(inversions) - 1)
    spread[::2] = inversions
    return spread


def _exact(score: float, probabilities: Floats) -> float:
    most = (len(probabilities) - 1) // 2
    reach = np.abs(np.arange(-most, most + 1)) >= abs(score) - 0.5  # scores are whole numbers
    return float(min(1.0, probabilities[reach].sum()))


def _normal(score: float, variance: float) -> float:
    from scipy import stats

    return float(2 * stats.norm.sf(abs(score) / variance**0.5)) if variance > 0 else 1.0


def _variance(x: Floats, y: Floats) -> float:
    """Return the variance of the score under random order; Kendall 1970, equation 4.4."""
    n = float(len(x))
    if n < 2:
        return 0.0
    t = np.unique(x, return_counts=True)[1].astype(np.float64)
    u = np.unique(y, return_counts=True)[1].astype(np.float64)
    first = n * (n - 1) * (2 * n + 5)
    first -= float(np.sum(t * (t - 1) * (2 * t + 5)) + np.sum(u * (u - 1) * (2 * u + 5)))
    pairs = float(np.sum(t * (t - 1)) * np.sum(u * (u - 1)))
    threes = float(np.sum(t * (t - 1) * (t - 2)) * np.sum(u * (u - 1) * (u - 2)))
    result = first / 18 + pairs / (2 * n * (n - 1))
    return result + (threes / (9 * n * (n - 1) * (n - 2)) if n > 2 else 0.0)
