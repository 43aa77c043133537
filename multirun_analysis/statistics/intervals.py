"""Mean, spread and confidence intervals over seeds."""

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from multirun_analysis.statistics.seeds import over_seeds
from multirun_analysis.statistics.values import (
    Codes,
    Floats,
    Numbers,
    as_floats,
    require,
    require_share,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over seeds and a confidence interval for it.

    A refused interval has NaN ends and says why; its mean and s.d. are there if they exist.

    Args:
        mean: Mean of the units; NaN if there are none.
        sd: Standard deviation between the units, with ``units - 1``; NaN below 2 units.
        low: Lower end.
        high: Upper end.
        level: Confidence, in (0, 1).
        units: Number of independent units: values, or clusters with a value.
        n_ok: Values there are.
        n: Values there should be.
        reason: Why there is no interval; empty if there is one.
    """

    mean: float
    sd: float
    low: float
    high: float
    level: float
    units: int
    n_ok: int
    n: int
    reason: str = ""

    @property
    def half_width(self) -> float:
        """Half the length of the interval, NaN if it was refused."""
        return (self.high - self.low) / 2


def t_interval(
    values: Numbers, *, clusters: Sequence[Hashable] | None = None, level: float = 0.95
) -> Interval:
    """Return Student's interval for the mean.

    Args:
        values: Values ``(n,)``; those that are NaN or infinite are counted and left out.
        clusters: Training seed of each value. Values with the same original model are not
            independent, so the unit becomes the mean of a cluster. None: every value is a unit.
        level: Confidence, in (0, 1).

    Raises:
        ValueError: If the level is out of range or the clusters are not aligned.
    """
    floats = as_floats(values)
    return _t_intervals(floats, clusters, np.zeros(len(floats), dtype=np.intp), 1, level)[0]


def interval_table(
    frame: "pd.DataFrame",
    *,
    by: Sequence[str],
    value: str,
    cluster: str | None = None,
    level: float = 0.95,
) -> "pd.DataFrame":
    """Return one interval per group of rows.

    Args:
        frame: One row per run.
        by: Columns that identify a cell of the table.
        value: Column of the values.
        cluster: Column of the training seeds, or None.
        level: Confidence, in (0, 1).

    Returns:
        The columns ``by``, the fields of :class:`Interval` and ``half_width``.

    Raises:
        ValueError: If a column is missing or the level is out of range.
    """
    import pandas as pd

    require(frame, [*by, value, *([cluster] if cluster else [])])
    grouped = frame.groupby(list(by), dropna=False, observed=True)
    codes = grouped.ngroup().to_numpy(dtype=np.intp)
    # the first row of each group, in the order of the codes: row i of keys is cell i
    keys = frame.iloc[np.unique(codes, return_index=True)[1]][list(by)].reset_index(drop=True)
    floats = as_floats(frame[value])
    labels = None if cluster is None else frame[cluster]
    intervals = _t_intervals(floats, labels, codes, len(keys), level)
    rows = [{**asdict(f), "half_width": f.half_width} for f in intervals]
    columns = [*Interval.__dataclass_fields__, "half_width"]
    return pd.concat([keys, pd.DataFrame(rows, columns=columns)], axis=1)


def _t_intervals(
    floats: Floats, clusters: Sequence[Hashable] | None, codes: Codes, cells: int, level: float
) -> list[Interval]:
    """Return the interval of each cell; ``codes`` says which cell a value belongs to."""
    from scipy import stats

    require_share("level", level)
    cell = over_seeds(floats, _numbered(clusters, len(floats)), codes, cells)
    # at least 1 degree of freedom, so that cells refused below have a finite factor
    t = stats.t.ppf((1 + level) / 2, np.maximum(cell.units - 1, 1))
    word = "value" if clusters is None else "cluster"
    intervals = []
    for i in range(cells):
        count, mean, sd = (
            int(cell.units[i]),
            float(cell.mean[i]),
            float(cell.sd[i]),
        )
        reason = _refusal(word, count, sd, int(cell.unknown[i]))
        half = float("nan") if reason else float(t[i]) * sd / count**0.5
        if cell.unknown[i]:
            # a mean without the values of unknown clusters would be one over fewer values
            count, mean, sd = 0, float("nan"), float("nan")
        intervals.append(
            Interval(
                mean=mean,
                sd=sd,
                low=mean - half,
                high=mean + half,
                level=level,
                units=count,
                n_ok=int(cell.n_ok[i]),
                n=int(cell.n[i]),
                reason=reason,
            )
        )
    return intervals


def _numbered(clusters: Sequence[Hashable] | None, n: int) -> Codes | None:
    """Return the number of the cluster of each of ``n`` values, -1 where it is missing."""
    if clusters is None:
        return None
    import pandas as pd

    # pandas knows every kind of missing label, and numbers it -1
    numbers: Codes = np.asarray(pd.factorize(pd.Series(clusters))[0], dtype=np.intp)
    if len(numbers) != n:
        raise ValueError(f"clusters must be {n} labels, got {len(numbers)}")
    return numbers


def _refusal(word: str, count: int, sd: float, unknown: int) -> str:
    if unknown:
        return f"the cluster of {unknown} values is unknown"
    if count < 2:
        return f"an interval needs 2 {word}s, got {count}"
    return "" if np.isfinite(sd) else "the values are too large for a variance"
