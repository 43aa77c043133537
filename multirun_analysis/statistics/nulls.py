"""What retraining alone does to a metric, and which cells of a table are not beyond it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from multirun_analysis.statistics.values import (
    Codes,
    Floats,
    Moments,
    Numbers,
    as_floats,
    average,
    moments,
    require,
    require_share,
    rounding_noise,
)

if TYPE_CHECKING:
    import pandas as pd

ENOUGH_GOLDS = 5
"""Golds from which their standard deviation is good enough to divide by."""
MIN_CONTRAST = 0.005
"""Half a percentage point: what counts where the golds hardly differ, or are too few to tell."""
COLUMNS = (
    *("mean", "n_ok", "n", "units", "gold_mean", "gold_sd", "golds", "low", "high", "z"),
    *("indistinguishable", "contrast", "needed_contrast", "not_discriminative", "reason"),
)


@dataclass(frozen=True, kw_only=True)
class GoldBand:
    """Where a metric of retrained models lies.

    Args:
        mean: Mean over the golds; NaN if there are none.
        sd: Their standard deviation; NaN below 2 golds.
        golds: Number of golds with a value.
        largest_difference: Largest distance of two golds from each other.
        level: Probability that one more gold model lies in the band.
        reason: Why there is no band; empty if there is.
    """

    mean: float
    sd: float
    golds: int
    largest_difference: float
    level: float
    reason: str = ""

    def half_width(self, seeds: int = 1) -> float:
        """Return half the width of the band for a mean over ``seeds`` independent models.

        The prediction interval ``t sd sqrt(1 / seeds + 1 / golds)``: both the mean that is
        judged and the mean of the golds are estimates. NaN if the band was refused or there is
        no seed.
        """
        counts = np.array([seeds]), np.array([self.golds])
        return float(_half_width(np.array([self.sd]), *counts, self.level)[0])

    def contains(self, value: float, seeds: int = 1) -> bool | None:
        """Return whether a mean over ``seeds`` models is in the band; None if unknown."""
        half = self.half_width(seeds)
        if not np.isfinite(half) or not np.isfinite(value):
            return None
        return bool(_within(np.array(value - self.mean), np.array(half), np.array(self.mean)))

    def z(self, value: float) -> float:
        """Return the distance from the mean in standard deviations of the golds.

        NaN below 5 golds, whose standard deviation says too little.
        """
        has_spread = self.golds >= ENOUGH_GOLDS and self.sd > 0
        return (value - self.mean) / self.sd if has_spread else float("nan")


def null_band(golds: Numbers, *, level: float = 0.95) -> GoldBand:
    """Return the band of a metric from the values of several retrained models.

    Args:
        golds: One value per gold model ``(n,)``, which differ by seed; missing ones are left
            out.
        level: Probability that one more gold model lies in the band, in (0, 1).

    Raises:
        ValueError: If the level is out of range.
    """
    require_share("level", level)
    values = as_floats(golds)
    values = values[np.isfinite(values)]
    statistics = moments(values, np.zeros(len(values), dtype=np.intp), 1)
    return GoldBand(
        mean=float(statistics.mean[0]),
        sd=float(statistics.sd[0]),
        golds=len(values),
        largest_difference=float(statistics.spread[0]),
        level=level,
        reason=_refusal(len(values)),
    )


def null_table(
    frame: "pd.DataFrame",
    *,
    by: Sequence[str],
    seeds: Sequence[str],
    method: str = "method",
    value: str = "unlearned",
    original: str = "original",
    gold: str = "gold",
    level: float = 0.95,
    min_contrast: float = MIN_CONTRAST,
) -> "pd.DataFrame":
    """Judge every method of every block against retraining.

    Runs with the same ``by`` and ``seeds`` have the same gold and original model, whatever
    their method; each counts once. Those with an unknown seed count as one gold model, as
    nothing says that they are several. ``indistinguishable`` means that the method's mean is where
    a mean of as many retrained models would be: it is no proof of being equal, and with few
    golds the band is wide.

    Args:
        frame: One row per run of one metric.
        by: Columns of a block; golds are compared within.
        seeds: Columns that make a gold model another one: training seed and split seed.
        method: Column of the methods.
        value: Column of the values.
        original: Column of the values of the original model.
        gold: Column of the values of the gold model.
        level: Level of the band, in (0, 1).
        min_contrast: Smallest distance of original and gold that counts, in the unit of the
            metric, 0 or more. The default is meant for fractions; give 0 for losses and times.

    Returns:
        One row per block and method: ``mean``, ``n_ok``, ``n`` and ``units`` (training seeds
        with a value), ``gold_mean``, ``gold_sd``, ``golds``, ``low`` and ``high`` of the band
        for that many units, ``z``, ``indistinguishable`` (boolean or NA), ``contrast``,
        ``needed_contrast`` (2 s.d. of the golds or ``min_contrast``, whichever is larger),
        ``not_discriminative`` (boolean or NA) and ``reason``.

    Raises:
        ValueError: If a column is missing or an argument is out of range.
    """
    require_share("level", level)
    if not min_contrast >= 0:
        raise ValueError(f"min_contrast must be 0 or more, got {min_contrast}")
    require(frame, [*by, *seeds, method, value, original, gold])
    blocks = _blocks(frame, by, seeds, (original, gold), min_contrast)
    # a seed is a unit, however many runs of unlearning it has
    units = average(frame, [*by, method, *seeds], value)
    grouped = units.groupby([*by, method], dropna=False, observed=True)
    cells = grouped.agg(
        mean=(value, "mean"), units=(value, "count"), n_ok=("n_ok", "sum"), n=("n", "sum")
    )
    table = cells.reset_index().merge(blocks, on=list(by), how="left")
    return _judged(table, level)[[*by, method, *COLUMNS]]


def _blocks(
    frame: "pd.DataFrame",
    by: Sequence[str],
    seeds: Sequence[str],
    roles: tuple[str, str],
    least: float,
) -> "pd.DataFrame":
    """Return what all methods of a block share, a row per block."""
    original, gold = roles
    golds = average(frame, [*by, *seeds], gold)
    codes = golds.groupby(list(by), dropna=False, observed=True).ngroup().to_numpy(dtype=np.intp)
    keys = golds.iloc[np.unique(codes, return_index=True)[1]][list(by)].reset_index(drop=True)
    gold_moments = _moments(golds[gold], codes, len(keys))
    # the same groups in the same order as the golds, so their codes hold here too
    original_mean = _moments(
        average(frame, [*by, *seeds], original)[original], codes, len(keys)
    ).mean
    contrast = np.abs(original_mean - gold_moments.mean)
    # fmax ignores NaN: one gold has no s.d., and the minimum remains
    needed = np.fmax(2 * gold_moments.sd, least)
    return keys.assign(
        gold_mean=gold_moments.mean,
        gold_sd=gold_moments.sd,
        golds=gold_moments.count,
        contrast=contrast,
        needed_contrast=needed,
        not_discriminative=_flags(contrast < needed - rounding_noise(original_mean), contrast),
        reason=[_refusal(count) for count in gold_moments.count],
    )


def _judged(table: "pd.DataFrame", level: float) -> "pd.DataFrame":
    """Add the band for the units of each cell and what follows from it."""
    mean, center, sd = (table[c].to_numpy() for c in ("mean", "gold_mean", "gold_sd"))
    golds = table["golds"].to_numpy()
    half = _half_width(sd, table["units"].to_numpy(), golds, level)
    distance = mean - center
    # as GoldBand.z; both sides of a where are computed, hence the divisor 1
    usable = (golds >= ENOUGH_GOLDS) & (sd > 0)
    return table.assign(
        low=center - half,
        high=center + half,
        z=np.where(usable, distance / np.where(usable, sd, 1.0), np.nan),
        # the product is NaN as soon as either of the two is
        indistinguishable=_flags(_within(distance, half, center), distance * half),
    )


def _half_width(sd: Floats, seeds: Codes, golds: Codes, level: float) -> Floats:
    from scipy import stats

    has_band = (seeds > 0) & (golds > 1)
    t = stats.t.ppf((1 + level) / 2, np.maximum(golds - 1, 1))
    # the maxima only keep cells without a band from dividing by 0
    spread = np.sqrt(1 / np.maximum(seeds, 1) + 1 / np.maximum(golds, 1))
    return np.where(has_band, t * sd * spread, np.nan)


def _within(distance: Floats, half: Floats, center: Floats) -> NDArray[np.bool_]:
    """Return whether distances are within, where rounding noise is no distance."""
    return np.asarray(np.abs(distance) <= half + rounding_noise(center), dtype=np.bool_)


def _flags(flags: NDArray[np.bool_], reference: Floats) -> "pd.Series":
    """Return a nullable column that is NA where ``reference`` is not a number."""
    import pandas as pd

    return pd.Series(pd.array(flags, dtype="boolean")).mask(~np.isfinite(reference))


def _moments(values: "pd.Series", codes: Codes, cells: int) -> Moments:
    floats = values.to_numpy(dtype=np.float64)
    ok = np.isfinite(floats)
    return moments(floats[ok], codes[ok], cells)


def _refusal(golds: int) -> str:
    return "" if golds > 1 else f"a band needs 2 gold models, got {golds}"
