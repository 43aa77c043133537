"""Means and deviations of many cells of a table at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multirun_analysis.statistics.values import DIGITS, Floats

Codes = NDArray[np.intp]


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
    np.minimum.at(smallest, codes, values)
    np.maximum.at(largest, codes, values)
    many = count > 1
    with np.errstate(over="ignore", invalid="ignore"):
        sums = np.bincount(codes, weights=values, minlength=cells)
        mean = np.where(count > 0, sums / np.maximum(count, 1), np.nan)
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
