"""Mean and standard deviation over training seeds: what every table of ours is made of.

numpy alone, no pandas and no scipy: a sweep prints its table without loading them.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from multirun_analysis.statistics.values import Codes, Floats, moments


@dataclass(frozen=True, kw_only=True, eq=False)
class SeedMoments:
    """What is known of each cell of a table over its units, arrays ``(cells,)``.

    A unit is a training seed: values with the same one are averaged first.

    Args:
        mean: Mean of the units; NaN without one.
        sd: Standard deviation between the units, with ``units - 1``; NaN below 2 units.
        units: Number of units that have a value.
        n_ok: Number of values that are finite.
        n: Number of values.
        unknown: Number of finite values whose training seed is unknown; they have no unit.
    """

    mean: Floats
    sd: Floats
    units: Codes
    n_ok: Codes
    n: Codes
    unknown: Codes


def over_seeds(values: Floats, seeds: Codes | None, codes: Codes, cells: int) -> SeedMoments:
    """Return the moments of each cell; values that are NaN or infinite are counted and left out.

    Args:
        values: Values ``(n,)``.
        seeds: Number of the training seed of each value ``(n,)``, from 0; -1 if it is unknown.
            None: every value is a unit of its own.
        codes: Cell of each value ``(n,)``, from 0.
        cells: Number of cells.
    """
    is_finite = np.isfinite(values)
    unknown = np.zeros(len(values), dtype=bool) if seeds is None else is_finite & (seeds < 0)
    units, owners = _units(values, seeds, codes, is_finite & ~unknown)
    cell = moments(units, owners, cells)
    return SeedMoments(
        mean=cell.mean,
        sd=cell.sd,
        units=cell.count,
        n_ok=np.bincount(codes[is_finite], minlength=cells),
        n=np.bincount(codes, minlength=cells),
        unknown=np.bincount(codes[unknown], minlength=cells),
    )


def number_labels(labels: Sequence[Hashable]) -> Codes:
    """Return the number of each label ``(n,)``, from 0 in the order in which they come."""
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return np.array([numbers[label] for label in labels], dtype=np.intp)


def _units(
    values: Floats, seeds: Codes | None, codes: Codes, usable: np.ndarray
) -> tuple[Floats, Codes]:
    """Return the value of each unit and its cell."""
    if seeds is None:
        return values[usable], codes[usable]
    # 1 where no seed is known, as the cell is restored by dividing by it
    width = max(int(seeds.max(initial=-1)) + 1, 1)
    # cell and seed packed into one number, so that each pair of them is a unit
    pairs, unit = np.unique(codes[usable] * width + seeds[usable], return_inverse=True)
    means = np.bincount(unit, weights=values[usable]) / np.bincount(unit)
    return means, pairs // width
