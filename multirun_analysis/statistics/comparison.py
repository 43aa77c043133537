"""Two aligned samples compared: tests, effect sizes, and the correction of many comparisons."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from multirun_analysis.statistics.intervals import Interval, t_interval
from multirun_analysis.statistics.values import Floats, Numbers, as_floats, require_share, snap

EXACT = 25
"""Largest number of pairs whose signed ranks are enumerated; above, the normal approximation."""


@dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """What paired differences, subject minus reference, say.

    Args:
        subject: Name of the method.
        reference: Name of what it is compared with.
        difference: Mean difference with Student's interval; its ``n_ok`` and ``n`` count pairs.
        lower: Pairs in which the subject has the lower number; for costs, is better.
        equal: Pairs with the same number up to rounding.
        higher: Pairs in which the subject has the higher number.
        partial: Pairs that rest on fewer values than there should be, because some are missing.
        p_wilcoxon: Two-sided p of the signed-rank test; pairs that are equal do not count.
        p_t: Two-sided p of the paired t-test; NaN if all differences are the same.
        p_wilcoxon_holm: The same after Holm's correction over the family.
        p_t_holm: The same after Holm's correction over the family.
        smallest_p: The smallest signed-rank p these pairs can give, ``2 / 2**pairs``.
        smallest_p_holm: The smallest after Holm's correction over the family.
        family: Number of comparisons that were corrected together.
        alpha: Level of significance.
        cliffs_delta: P(subject > reference) - P(subject < reference) over all values of both.
        cohen_dz: Mean difference in units of its standard deviation.
        reason: Why nothing was tested; empty if it was.

    References:
        F. Wilcoxon 1945; S. Holm 1979; N. Cliff 1993; J. Cohen 1988.
    """

    subject: str
    reference: str
    difference: Interval
    lower: int
    equal: int
    higher: int
    partial: int
    p_wilcoxon: float
    p_t: float
    p_wilcoxon_holm: float
    p_t_holm: float
    smallest_p: float
    smallest_p_holm: float
    family: int
    alpha: float
    cliffs_delta: float
    cohen_dz: float
    reason: str = ""

    @property
    def decisive(self) -> bool:
        """Whether the pairs could have given a corrected p of ``alpha`` or less at all."""
        return self.smallest_p_holm <= self.alpha

    @property
    def significant(self) -> bool:
        """Whether the corrected signed-rank test rejects, which it must be able to."""
        return self.decisive and self.p_wilcoxon_holm <= self.alpha


def compare(
    subject: Numbers,
    reference: Numbers,
    *,
    names: tuple[str, str] = ("subject", "reference"),
    alpha: float = 0.05,
) -> PairedComparison:
    """Compare aligned values ``(n,)``; a pair with a missing value is counted and left out.

    Raises:
        ValueError: If the two are not of the same length or ``alpha`` is out of range.
    """
    require_share("alpha", alpha)
    left, right = as_floats(subject), as_floats(reference)
    if left.shape != right.shape:
        raise ValueError(f"reference must be {len(left)} values, got {len(right)}")
    # 0.3 - 0.1 and 0.5 - 0.3 must be ties
    differences = snap(left - right, left, right)
    interval = t_interval(differences, level=1 - alpha)
    d = differences[np.isfinite(differences)]
    ok = len(d) >= 2
    p, smallest = signed_rank(d) if ok else (np.nan, np.nan)
    t = _t_test(d, interval)
    return PairedComparison(
        subject=names[0],
        reference=names[1],
        difference=interval,
        lower=int((d < 0).sum()),
        equal=int((d == 0).sum()),
        higher=int((d > 0).sum()),
        partial=0,
        p_wilcoxon=p,
        p_t=t,
        p_wilcoxon_holm=p,
        p_t_holm=t,
        smallest_p=smallest,
        smallest_p_holm=smallest,
        family=int(ok),
        alpha=alpha,
        cliffs_delta=cliffs_delta(left, right) if ok else np.nan,
        cohen_dz=interval.mean / interval.sd if interval.sd > 0 else np.nan,
        reason="" if ok else f"a comparison needs 2 pairs, got {len(d)}",
    )


def correct(comparisons: Sequence[PairedComparison]) -> tuple[PairedComparison, ...]:
    """Correct the p-values of a family by Holm's method.

    Comparisons that were refused are not part of the family. Holm's p grows with every p of the
    family, so the smallest that can be reached is that of the smallest p-values.
    """
    ranks = holm([c.p_wilcoxon for c in comparisons])
    means = holm([c.p_t for c in comparisons])
    floors = holm([c.smallest_p for c in comparisons])
    family = sum(not c.reason for c in comparisons)
    return tuple(
        replace(
            c,
            p_wilcoxon_holm=float(ranks[i]),
            p_t_holm=float(means[i]),
            smallest_p_holm=float(floors[i]),
            family=family,
        )
        for i, c in enumerate(comparisons)
    )


def holm(p: Sequence[float]) -> Floats:
    """Return Holm's adjusted p-values ``(n,)``; NaN stays NaN and does not count.

    scipy has the corrections of Benjamini only; statsmodels has this one, and takes no NaN.
    """
    values = np.asarray(p, dtype=np.float64)
    adjusted = np.full(len(values), np.nan)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    # the smallest p counts n times, the next n - 1 times, and none falls below the one before
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def signed_rank(differences: Floats) -> tuple[float, float]:
    """Return the two-sided p of Wilcoxon's signed-rank test and the smallest it could be.

    Differences of 0 are left out, equal magnitudes share their rank. Up to 25 pairs the
    distribution is exact with such ties as well: all signs are counted by a convolution. scipy's
    exact test takes no ties, and its permutation test tries all ``2**n`` signs one by one.
    """
    from scipy import stats

    d = differences[differences != 0]
    if len(d) == 0:
        return 1.0, 1.0
    # all signs alike, either way: 2 of 2**n patterns
    smallest = min(1.0, 2.0 ** (1 - len(d)))
    if len(d) > EXACT:
        return float(stats.wilcoxon(d, method="asymptotic").pvalue), smallest
    # shared ranks are halves; twice a rank is whole and can be an index
    doubled = np.rint(2 * stats.rankdata(np.abs(d))).astype(np.intp)
    # floats count exactly here: there are at most 2**25 patterns
    ways = np.zeros(int(doubled.sum()) + 1)
    ways[0] = 1.0
    for rank in doubled:  # ways[k]: sign patterns whose positive ranks sum to k
        ways[rank:] = ways[rank:] + ways[: len(ways) - rank]
    positive = int(doubled[d > 0].sum())
    # what was observed is in both tails, so twice the smaller may exceed 1
    tail = min(ways[: positive + 1].sum(), ways[positive:].sum())
    return min(1.0, float(2.0 * tail / 2.0 ** len(d))), smallest


def cliffs_delta(subject: Floats, reference: Floats) -> float:
    """Return Cliff's delta of the finite values of two samples, in [-1, 1]; NaN if one has none.

    ``2 U / (n m) - 1`` with the U of scipy's ``mannwhitneyu``, without the test that comes with
    it: that divides by zero where all values are equal.
    """
    left = subject[np.isfinite(subject)]
    right = np.sort(reference[np.isfinite(reference)])
    if len(left) == 0 or len(right) == 0:
        return float("nan")
    below = np.searchsorted(right, left, side="left")
    above = len(right) - np.searchsorted(right, left, side="right")
    return float((below.sum() - above.sum()) / (len(left) * len(right)))


def _t_test(differences: Floats, interval: Interval) -> float:
    from scipy import stats

    if not interval.sd > 0:
        return float("nan")
    # not scipy's ttest_1samp: the s.d. of the interval is 0 for rounding noise
    t = interval.mean / interval.sd * len(differences) ** 0.5
    return float(2 * stats.t.sf(abs(t), len(differences) - 1))
