"""What all statistics share: which values count, which way is better, what counts as equal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from erasure.schema import ROLES

if TYPE_CHECKING:
    import pandas as pd

JudgedDirection = Literal["max", "min", "closer_to_gold", "closer_to_ideal"]
"""The directions of :data:`erasure.schema.Direction` in which there is better and worse."""

Floats: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.intp]
"""Number of the group that each value belongs to, from 0."""

Numbers: TypeAlias = Sequence[float] | Floats
"""Or a pandas Series; nullable numbers are fine."""

DIGITS = 40
"""Binary digits that are compared; float64 has 53, of which a difference loses some."""


def as_floats(values: Numbers) -> Floats:
    """Return ``values`` as a float64 array ``(n,)`` in which NaN stands for all that is missing.

    Infinite values are missing too: no mean, rank or interval with one has a meaning.
    """
    import pandas as pd

    floats = pd.Series(values).to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(floats), floats, np.nan)


def to_cost(
    values: Numbers,
    direction: JudgedDirection,
    *,
    gold: Numbers | None = None,
    ideal: float | None = None,
) -> Floats:
    """Turn a metric into one of which less is better, with rounding noise removed.

    Args:
        values: Values ``(n,)`` of the metric.
        direction: Which way the metric is better. ``closer_to_gold`` becomes the distance of
            each run from the gold value of the same run, and from ``ideal`` where it has none.
        gold: Gold values ``(n,)``, aligned with ``values``; read for ``closer_to_gold`` only.
        ideal: The perfect value, if it is the same for all runs.

    Returns:
        Costs ``(n,)``; NaN where a value or the gold value it needs is missing.

    Raises:
        ValueError: If the direction is not one of the four, or what it needs is not given.
    """
    floats = as_floats(values)
    if direction == "min":
        return snap(floats, floats)
    if direction == "max":
        return snap(-floats, floats)
    target = _target(direction, gold, ideal)
    if target.shape not in ((), floats.shape):
        raise ValueError(f"gold must be aligned with the {len(floats)} values, got {len(target)}")
    return snap(np.abs(floats - target), floats, target)


def snap(values: Floats, *operands: Floats) -> Floats:
    """Make values ``(n,)`` equal whose magnitudes differ by rounding noise only.

    ``0.3 - 0.1`` and ``0.5 - 0.3`` are the same difference of accuracies, though not the same
    float; rank statistics must see a tie. Magnitudes with no gap between them become the
    smallest of them, and 0 if they reach to 0. A gap is more than ``2**-40`` of the median
    magnitude of the operands the values were computed from, or of 1 where that is smaller, so
    that the one loss that exploded does not make all others equal.
    """
    scale = np.abs(np.concatenate([np.atleast_1d(o).ravel() for o in operands]))
    # zeros say nothing about the scale of the others
    scale = scale[np.isfinite(scale) & (scale > 0)]
    if scale.size == 0:
        return values
    noise = min(1.0, float(np.median(scale))) * 2.0**-DIGITS
    finite = np.isfinite(values)
    ordered, groups = np.unique(np.append(0.0, np.abs(values[finite])), return_inverse=True)
    # entry 0 is the number 0 itself: a first group that reaches to it becomes 0
    starts = np.append(True, np.diff(ordered) > noise)
    # the cumulative sum numbers the groups: each magnitude gets the smallest of its group
    first = ordered[starts][np.cumsum(starts) - 1]
    snapped = values.copy()
    # a zero may come out as -0.0, which is equal to 0.0
    snapped[finite] = np.copysign(first[groups[1:]], values[finite])
    return snapped


def average(frame: "pd.DataFrame", by: Sequence[str], value: str) -> "pd.DataFrame":
    """Average a column within groups and say over how many of how many values.

    Returns:
        The columns ``by``, then ``value`` (mean of the values there are, NaN if there are
        none), ``n_ok`` (how many there are) and ``n`` (how many rows). A missing key is a
        group of its own.

    Raises:
        ValueError: If a column is missing.
    """
    require(frame, [*by, value])
    clean = frame[list(by)].assign(**{value: as_floats(frame[value])})
    # observed: of a categorical key only what occurs is a group
    grouped = clean.groupby(list(by), dropna=False, observed=True)[value]
    averages = grouped.agg(["mean", "count", "size"]).reset_index()
    return averages.rename(columns={"mean": value, "count": "n_ok", "size": "n"})


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """What is known of each cell, arrays ``(cells,)``.

    Args:
        mean: Mean; NaN without values.
        sd: Standard deviation with ``count - 1``; NaN below 2 values, not finite if the values
            are too large, 0 if they differ by rounding noise only.
        spread: Largest minus smallest value; NaN below 2 values.
        count: Number of values.
    """

    mean: Floats
    sd: Floats
    spread: Floats
    count: Codes


def moments(values: Floats, codes: Codes, cells: int) -> Moments:
    """Return the moments of finite values ``(n,)`` by cell, numbered from 0."""
    count = np.bincount(codes, minlength=cells)
    smallest, largest = np.full(cells, np.inf), np.full(cells, -np.inf)
    # at: plain indexing would keep only the last value of a cell
    np.minimum.at(smallest, codes, values)
    np.maximum.at(largest, codes, values)
    many = count > 1
    with np.errstate(over="ignore", invalid="ignore"):
        sums = np.bincount(codes, weights=values, minlength=cells)
        mean = np.where(count > 0, sums / np.maximum(count, 1), np.nan)
        # around the mean: a difference of sums of squares would cancel
        squares = np.bincount(codes, weights=(values - mean[codes]) ** 2, minlength=cells)
        sd = np.where(many, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)
        spread = np.where(many, largest - smallest, np.nan)
        noise = rounding_noise(np.maximum(np.abs(smallest), np.abs(largest)))
    # equal values have no deviation, whatever rounding makes of it
    sd = np.where(many & (spread <= noise), 0.0, sd)
    return Moments(mean=mean, sd=sd, spread=spread, count=count)


def rounding_noise(magnitudes: Floats) -> Floats:
    """Return the difference that numbers of these magnitudes may have and still be equal."""
    return np.asarray(np.minimum(1.0, np.abs(magnitudes)) * 2.0**-DIGITS, dtype=np.float64)


def one_metric(runs: "pd.DataFrame", values: "pd.DataFrame", metric: str) -> "pd.DataFrame":
    """Lay one metric out for the functions of this package: a row per run, a column per role.

    Args:
        runs: One row per run, with ``run_id``.
        values: Rows of ``run_id``, ``role``, ``metric`` and ``value``.
        metric: Name of the metric.

    Returns:
        ``runs`` with the columns ``unlearned``, ``original`` and ``gold``, NaN where a run has
        no such value. Runs without the metric are kept: they are missing, not absent.

    Raises:
        ValueError: If a column is missing or a run has two values of the metric.
    """
    require(runs, ["run_id"])
    require(values, ["run_id", "role", "metric", "value"])
    chosen = values.loc[values["metric"] == metric, ["run_id", "role", "value"]]
    if chosen.duplicated(["run_id", "role"]).any():
        raise ValueError(f"values must have one value of {metric} per run and role")
    # reindex: a role that no run has is a column too
    wide = chosen.pivot(index="run_id", columns="role", values="value").reindex(columns=ROLES)
    wide = wide.astype(np.float64).rename_axis(columns=None).reset_index()
    return runs.merge(wide, on="run_id", how="left")


def require(frame: "pd.DataFrame", columns: Sequence[str]) -> None:
    """Check that a frame has columns.

    Raises:
        ValueError: If it does not; the message names them.
    """
    absent = [name for name in columns if name not in frame.columns]
    if absent:
        raise ValueError(f"frame must have the columns {absent}, got {list(frame.columns)}")


def require_share(name: str, value: float) -> None:
    """Check that ``value`` is strictly between 0 and 1.

    Raises:
        ValueError: If it is not; the message starts with ``name``.
    """
    if not 0.0 < value < 1.0:
        raise ValueError(f"{name} must be in (0, 1), got {value}")


def _target(direction: JudgedDirection, gold: Numbers | None, ideal: float | None) -> Floats:
    if direction == "closer_to_gold":
        if gold is None:
            raise ValueError("gold must be given for the direction closer_to_gold")
        golds = as_floats(gold)
        return golds if ideal is None else np.where(np.isnan(golds), ideal, golds)
    if direction != "closer_to_ideal":
        raise ValueError(
            f"direction must be one of {get_args(JudgedDirection)}, got {direction!r}"
        )
    if ideal is None:
        raise ValueError("ideal must be given for the direction closer_to_ideal")
    return np.asarray(ideal, dtype=np.float64)
