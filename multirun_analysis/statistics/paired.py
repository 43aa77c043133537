"""A method against a baseline or the gold model, on the same seeds and the same data."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from multirun_analysis.statistics.intervals import Interval, t_interval
from multirun_analysis.statistics.signed import cliffs_delta, holm, signed_rank
from multirun_analysis.statistics.values import (
    Floats,
    JudgedDirection,
    Numbers,
    as_floats,
    average,
    require,
    require_share,
    snap,
    to_cost,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Comparison:
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

    ReferenceModels:
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


def compare_to_baseline(
    frame: "pd.DataFrame",
    *,
    baseline: str,
    on: Sequence[str],
    direction: JudgedDirection,
    method: str = "method",
    value: str = "unlearned",
    gold: str = "gold",
    ideal: float | None = None,
    alpha: float = 0.05,
) -> tuple[Comparison, ...]:
    """Compare the cost of every other method with that of one of them.

    Args:
        frame: One row per run of one metric.
        baseline: The method to compare with.
        on: Columns that make a pair: training seed, split seed and block. What else differs,
            such as the seed of unlearning, is averaged first.
        direction: Which way the metric is better; values become costs, so that a negative
            difference says the method is better than the baseline.
        method: Column of the methods.
        value: Column of the values.
        gold: Column of the gold values; read for ``closer_to_gold`` only.
        ideal: The perfect value; read for ``closer_to_ideal`` only.
        alpha: Level of significance, in (0, 1).

    Raises:
        ValueError: If a column is missing, the baseline is no method or an argument is out of
            range.
    """
    near_gold = direction == "closer_to_gold"
    require(frame, [method, value, *on, *([gold] if near_gold else [])])
    if not (frame[method] == baseline).any():
        raise ValueError(f"baseline must be one of the methods, got {baseline!r}")
    target = frame[gold] if near_gold else None
    costs = to_cost(frame[value], direction, gold=target, ideal=ideal)
    cells = _cells(frame[[method, *on]].assign(cost=costs), method, on, ["cost"])
    table = cells.pivot(index="key", columns=method, values="cost")
    missing = cells.pivot(index="key", columns=method, values="cost_missing")
    values, lost = (one.to_numpy(dtype=np.float64) for one in (table, missing))
    names = [str(name) for name in table.columns]
    base = names.index(baseline)
    found = []
    for place, name in enumerate(names):
        if place == base:
            continue
        both = [place, base]
        there = ~np.isnan(lost[:, both]).all(axis=1)
        left, right = values[there][:, both].T
        pair = compare(left, right, names=(name, baseline), alpha=alpha)
        partial = ~np.isnan(values[:, both]).any(axis=1) & (lost[:, both] > 0).any(axis=1)
        found.append(replace(pair, partial=int(partial.sum())))
    return correct(found)


def compare_to_gold(
    frame: "pd.DataFrame",
    *,
    on: Sequence[str],
    method: str = "method",
    value: str = "unlearned",
    gold: str = "gold",
    alpha: float = 0.05,
) -> tuple[Comparison, ...]:
    """Compare the values of every method with those of the gold models of the same runs.

    The differences are signed: below 0 the method is under the gold model. Not to be able to
    tell them apart is no proof that they are equal; look at the interval.

    Args:
        frame: One row per run of one metric.
        on: Columns that make a pair; runs with the same ones have the same gold model.
        method: Column of the methods.
        value: Column of the values.
        gold: Column of the gold values.
        alpha: Level of significance, in (0, 1).

    Raises:
        ValueError: If a column is missing or ``alpha`` is out of range.
    """
    require(frame, [method, value, gold, *on])
    cells = _cells(frame, method, on, [value, gold])
    found = []
    for name, group in cells.groupby(method, observed=True):
        pair = compare(group[value], group[gold], names=(str(name), "gold"), alpha=alpha)
        both = group[[value, gold]].notna().all(axis=1)
        partial = both & (group[[f"{value}_missing", f"{gold}_missing"]] > 0).any(axis=1)
        found.append(replace(pair, partial=int(partial.sum())))
    return correct(found)


def compare(
    subject: Numbers,
    reference: Numbers,
    *,
    names: tuple[str, str] = ("subject", "reference"),
    alpha: float = 0.05,
) -> Comparison:
    """Compare aligned values ``(n,)``; a pair with a missing value is counted and left out.

    Raises:
        ValueError: If the two are not of the same length or ``alpha`` is out of range.
    """
    require_share("alpha", alpha)
    left, right = as_floats(subject), as_floats(reference)
    if left.shape != right.shape:
        raise ValueError(f"reference must be {len(left)} values, got {len(right)}")
    differences = snap(left - right, left, right)
    interval = t_interval(differences, level=1 - alpha)
    d = differences[np.isfinite(differences)]
    ok = len(d) >= 2
    p, smallest = signed_rank(d) if ok else (np.nan, np.nan)
    t = _t_test(d, interval)
    return Comparison(
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


def correct(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
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


def comparison_table(comparisons: Sequence[Comparison]) -> "pd.DataFrame":
    """Return one row per comparison: its fields, ``decisive``, ``significant``, the interval."""
    import pandas as pd

    rows = []
    for found in comparisons:
        fields = asdict(found)
        interval = {f"difference_{k}": v for k, v in fields.pop("difference").items()}
        flags = {"decisive": found.decisive, "significant": found.significant}
        rows.append({**fields, **flags, **interval})
    return pd.DataFrame(rows)


def _cells(
    frame: "pd.DataFrame", method: str, on: Sequence[str], values: Sequence[str]
) -> "pd.DataFrame":
    """Average values by method and key, and say how many each average lacks.

    Returns:
        One row per method and ``key`` with the columns ``values`` and ``<value>_missing``.
        Rows with an unknown key have a key for each method: they match those of no other.
    """
    keys = frame[list(on)]
    unknown = keys.isna().any(axis=1)
    owners = frame[method].astype(str).where(unknown, "")
    key = keys.assign(_owner=owners).groupby([*on, "_owner"], dropna=False).ngroup()
    keyed = frame[[method, *values]].assign(key=key)
    parts = [average(keyed, [method, "key"], value) for value in values]
    cells = parts[0][[method, "key"]]
    for value, part in zip(values, parts, strict=True):
        lost = part["n"] - part["n_ok"]
        cells = cells.assign(**{value: part[value], f"{value}_missing": lost})
    return cells


def _t_test(differences: Floats, interval: Interval) -> float:
    from scipy import stats

    if not interval.sd > 0:
        return float("nan")
    t = interval.mean / interval.sd * len(differences) ** 0.5
    return float(2 * stats.t.sf(abs(t), len(differences) - 1))
