"""Whether two metrics order the runs alike: overall, within methods, and between methods."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, permutations
from math import lgamma, log
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from multirun_analysis.statistics.orders import concordance
from multirun_analysis.statistics.values import Floats, as_floats, require, snap

if TYPE_CHECKING:
    import pandas as pd

Statistic = Literal["kendall", "spearman"]
Codes = NDArray[np.intp]

LEVELS = ("runs", "within", "between")
ENUMERATED = 7
"""Largest number of units of which all orders are tried: 5040."""


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """A rank correlation.

    Args:
        value: In [-1, 1]; NaN if refused.
        p: Two-sided p-value; NaN if refused.
        smallest_p: The smallest p this many units can give, ``2 / n!``.
        units: Number of units.
        reason: Why there is no value; empty if there is.
    """

    value: float
    p: float
    smallest_p: float
    units: int
    reason: str = ""

    def decisive(self, alpha: float = 0.05) -> bool:
        """Return whether the units could have given a p of ``alpha`` or less at all."""
        return self.smallest_p <= alpha


@dataclass(frozen=True, kw_only=True)
class MetricAgreement:
    """How well two metrics agree.

    Args:
        first: One metric.
        second: The other.
        statistic: ``kendall`` (tau-b) or ``spearman``.
        runs: Over all runs. Its p takes runs for independent, which those of a method are not.
        within: With the method partialled out: only runs of the same method are compared.
        between: Over the means of the methods.
        n_ok: Runs with both metrics.
        n: Runs there are.
    """

    first: str
    second: str
    statistic: Statistic
    runs: Correlation
    within: Correlation
    between: Correlation
    n_ok: int
    n: int


def metric_agreement(
    frame: "pd.DataFrame",
    first: str,
    second: str,
    *,
    method: str = "method",
    statistic: Statistic = "kendall",
) -> MetricAgreement:
    """Correlate two metrics over runs.

    Turn metrics into costs first (:func:`to_cost`), so that a positive value means that they
    agree on what is better. Much agreement over runs and none within methods says that the
    metrics separate the same methods, not that one can stand for the other.

    Args:
        frame: One row per run, one column per metric.
        first: Column of one metric.
        second: Column of the other.
        method: Column of the methods.
        statistic: ``kendall``: tau-b; within methods, pairs of runs of one method. ``spearman``:
            within methods, correlation of what the method leaves unexplained of the ranks.

    Raises:
        ValueError: If a column is missing or the statistic is unknown.

    References:
        M. G. Kendall, "Rank correlation methods", 1970; H. E. Daniels, "The relation between
        measures of correlation in the universe of sample permutations", Biometrika 1944.
    """
    import pandas as pd

    if statistic not in get_args(Statistic):
        raise ValueError(f"statistic must be kendall or spearman, got {statistic!r}")
    require(frame, [first, second, method])
    x, y = as_floats(frame[first]), as_floats(frame[second])
    ok = np.isfinite(x) & np.isfinite(y) & frame[method].notna().to_numpy()
    # values that differ by rounding alone are ties
    x, y = snap(x[ok], x[ok]), snap(y[ok], y[ok])
    codes = pd.factorize(frame.loc[ok, method])[0]
    sizes = np.bincount(codes)
    means = [snap(m, m) for m in (_means(x, codes, sizes), _means(y, codes, sizes))]
    over = _kendall if statistic == "kendall" else _spearman
    return MetricAgreement(
        first=first,
        second=second,
        statistic=statistic,
        # one group: pairs of all runs count
        runs=over(x, y, np.zeros(len(x), dtype=np.intp)),
        within=over(x, y, codes),
        between=over(means[0], means[1], np.zeros(len(sizes), dtype=np.intp)),
        n_ok=int(ok.sum()),
        n=len(frame),
    )


def agreement_table(
    frame: "pd.DataFrame",
    metrics: Sequence[str],
    *,
    method: str = "method",
    statistic: Statistic = "kendall",
) -> "pd.DataFrame":
    """Return one row per pair of metrics, with the three correlations flattened.

    Raises:
        ValueError: As :func:`metric_agreement`, or if there are fewer than 2 metrics.
    """
    import pandas as pd

    if len(metrics) < 2:
        raise ValueError(f"metrics must be at least 2, got {list(metrics)}")
    rows = []
    for first, second in combinations(metrics, 2):
        row = asdict(metric_agreement(frame, first, second, method=method, statistic=statistic))
        # columns such as within_value and within_p
        nested = {f"{k}_{f}": v for k in LEVELS for f, v in row.pop(k).items()}
        rows.append({**row, **nested})
    return pd.DataFrame(rows)


def smallest_p(*sizes: int) -> float:
    """Return the smallest two-sided p of a rank correlation of groups of this many units.

    Of the ``n!`` orders of each group, one agrees in all and one disagrees in all:
    ``2 / (n_1! n_2! ...)``; 4 methods give .0833, 5 give .0167, 6 give .0028.
    """
    # in logarithms, log n! = lgamma(n + 1): n! is beyond a float from 171 units on
    exponent = log(2.0) - sum(lgamma(n + 1) for n in sizes)
    return float(min(1.0, np.exp(exponent)))


def _kendall(x: Floats, y: Floats, codes: Codes) -> Correlation:
    reason = _refusal(x, y, codes)
    floor = smallest_p(*np.bincount(codes))
    if reason:
        return _refused(reason, floor, len(x))
    pairs = concordance(x, y, codes)
    if pairs.scale == 0.0:
        return _refused("a metric does not vary", floor, len(x))
    return Correlation(value=pairs.score / pairs.scale, p=pairs.p, smallest_p=floor, units=len(x))


def _spearman(x: Floats, y: Floats, codes: Codes) -> Correlation:
    from scipy import stats

    reason = _refusal(x, y, codes)
    sizes = np.bincount(codes)
    floor = smallest_p(*sizes)
    if reason:
        return _refused(reason, floor, len(x))
    # ranked among all runs, then centered by method: the correlation given the method
    a, b = (_residuals(stats.rankdata(v), codes, sizes) for v in (x, y))
    scale = float(np.sqrt(np.dot(a, a) * np.dot(b, b)))
    if scale == 0.0:
        return _refused("a metric does not vary", floor, len(x))
    value = float(np.clip(np.dot(a, b) / scale, -1.0, 1.0))
    df = len(x) - len(sizes) - 1  # a mean per group and one slope
    if len(sizes) == 1 and len(x) <= ENUMERATED:
        p = _enumerated(a, b)  # Student's approximation is far off for so few
    elif df < 1:
        return _refused(f"{len(x)} runs of {len(sizes)} methods are too few", floor, len(x))
    else:
        p = _student(value, df)
    # Student's p can fall below what so few orders can give
    return Correlation(value=value, p=max(p, floor), smallest_p=floor, units=len(x))


def _refusal(x: Floats, y: Floats, codes: Codes) -> str:
    if len(x) < 2:
        return f"a correlation needs 2 units, got {len(x)}"
    if np.bincount(codes).max() < 2:
        return "no method has 2 runs"
    if np.ptp(x) == 0.0 or np.ptp(y) == 0.0:
        return "a metric does not vary"
    return ""


def _refused(reason: str, floor: float, units: int) -> Correlation:
    return Correlation(value=np.nan, p=np.nan, smallest_p=floor, units=units, reason=reason)


def _means(values: Floats, codes: Codes, sizes: NDArray[np.intp]) -> Floats:
    sums = np.bincount(codes, weights=values, minlength=len(sizes))
    return np.asarray(sums / sizes, dtype=np.float64)


def _residuals(ranks: Floats, codes: Codes, sizes: NDArray[np.intp]) -> Floats:
    residuals = ranks - _means(ranks, codes, sizes)[codes]
    # ranks are halves and a group has at most as many of them as there are runs
    return np.where(np.abs(residuals) < 1e-9, 0.0, residuals)


def _enumerated(a: Floats, b: Floats) -> float:
    orders = np.array(list(permutations(range(len(a)))))
    # (n!, n) @ (n,): the score of every order; the scale is the same for all, and left out
    products = b[orders] @ a
    # centered ranks are halves and products quarters: 1e-9 is rounding and never a step
    return float(np.mean(np.abs(products) >= abs(np.dot(a, b)) - 1e-9))


def _student(value: float, df: int) -> float:
    from scipy import stats

    # t = r sqrt(df / (1 - r^2)), infinite where r is 1 or -1
    rest = 1.0 - value * value
    return float(2 * stats.t.sf(abs(value) * (df / rest) ** 0.5, df)) if rest > 0 else 0.0
