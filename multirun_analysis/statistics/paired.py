"""A method against a baseline or the gold model, on the same seeds and the same data."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from multirun_analysis.statistics.comparison import PairedComparison, compare, correct
from multirun_analysis.statistics.values import (
    JudgedDirection,
    average,
    require,
    to_cost,
)

if TYPE_CHECKING:
    import pandas as pd


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
) -> tuple[PairedComparison, ...]:
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
        ideal: The perfect value, of ``closer_to_gold`` where gold has none.
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
    # (keys, methods); a method without any run of a key has NaN in both
    values, missing_counts = (table_of.to_numpy(dtype=np.float64) for table_of in (table, missing))
    names = [str(name) for name in table.columns]
    base = names.index(baseline)
    comparisons = []
    for column, name in enumerate(names):
        if column == base:
            continue
        columns = [column, base]
        # a key that neither has is a pair of nobody
        has_row = ~np.isnan(missing_counts[:, columns]).all(axis=1)
        left, right = values[has_row][:, columns].T
        pair = compare(left, right, names=(name, baseline), alpha=alpha)
        partial = ~np.isnan(values[:, columns]).any(axis=1) & (missing_counts[:, columns] > 0).any(
            axis=1
        )
        comparisons.append(replace(pair, partial=int(partial.sum())))
    return correct(comparisons)


def compare_to_gold(
    frame: "pd.DataFrame",
    *,
    on: Sequence[str],
    method: str = "method",
    value: str = "unlearned",
    gold: str = "gold",
    alpha: float = 0.05,
) -> tuple[PairedComparison, ...]:
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
    comparisons = []
    for name, group in cells.groupby(method, observed=True):
        pair = compare(group[value], group[gold], names=(str(name), "gold"), alpha=alpha)
        both = group[[value, gold]].notna().all(axis=1)
        partial = both & (group[[f"{value}_missing", f"{gold}_missing"]] > 0).any(axis=1)
        comparisons.append(replace(pair, partial=int(partial.sum())))
    return correct(comparisons)


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
    # empty where the key is known: methods share that key, which is what makes a pair
    owners = frame[method].astype(str).where(unknown, "")
    key = keys.assign(_owner=owners).groupby([*on, "_owner"], dropna=False).ngroup()
    keyed = frame[[method, *values]].assign(key=key)
    parts = [average(keyed, [method, "key"], value) for value in values]
    cells = parts[0][[method, "key"]]
    for value, part in zip(values, parts, strict=True):
        missing = part["n"] - part["n_ok"]
        cells = cells.assign(**{value: part[value], f"{value}_missing": missing})
    return cells
