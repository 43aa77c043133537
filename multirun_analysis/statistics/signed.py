"""Tests and effect sizes of two samples, and the correction of many tests."""

from collections.abc import Sequence

import numpy as np

from multirun_analysis.statistics.values import Floats

EXACT = 25
"""Largest number of pairs whose signed ranks are enumerated; above, the normal approximation."""


def holm(p: Sequence[float]) -> Floats:
    """Return Holm's adjusted p-values; NaN stays NaN and does not count."""
    values = np.asarray(p, dtype=np.float64)
    adjusted = np.full(len(values), np.nan)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def signed_rank(differences: Floats) -> tuple[float, float]:
    """Return the two-sided p of Wilcoxon's signed-rank test and the smallest it could be.

    Differences of 0 are left out, equal magnitudes share their rank. Up to 25 pairs the
    distribution is exact with such ties as well: all signs are counted by a convolution.
    """
    from scipy import stats

    d = differences[differences != 0]
    if len(d) == 0:
        return 1.0, 1.0
    smallest = min(1.0, 2.0 ** (1 - len(d)))
    if len(d) > EXACT:
        return float(stats.wilcoxon(d, method="asymptotic").pvalue), smallest
    doubled = np.rint(2 * stats.rankdata(np.abs(d))).astype(np.intp)
    ways = np.zeros(int(doubled.sum()) + 1)
    ways[0] = 1.0
    for rank in doubled:
        ways[rank:] = ways[rank:] + ways[: len(ways) - rank]
    positive = int(doubled[d > 0].sum())
    tail = min(ways[: positive + 1].sum(), ways[positive:].sum())
    return min(1.0, float(2.0 * tail / 2.0 ** len(d))), smallest


def cliffs_delta(subject: Floats, reference: Floats) -> float:
    """Return Cliff's delta of the finite values of two samples, NaN if one has none."""
    left = subject[np.isfinite(subject)]
    right = np.sort(reference[np.isfinite(reference)])
    if len(left) == 0 or len(right) == 0:
        return float("nan")
    below = np.searchsorted(right, left, side="left")
    above = len(right) - np.searchsorted(right, left, side="right")
    return float((below.sum() - above.sum()) / (len(left) * len(right)))
