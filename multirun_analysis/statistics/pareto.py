"""Methods that no other beats on every objective, and how much of the plane they cover.

Optuna has a front as the best trials of a study, and a hypervolume in a private module only; both
want studies, here are rows of a table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from multirun_analysis.statistics.values import Floats, JudgedDirection, require, to_cost

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class FrontObjective:
    """One axis of a trade-off.

    Args:
        column: Column of the values.
        direction: Which way is better.
        gold: Column of the gold values, needed for ``closer_to_gold``.
        ideal: The perfect value, needed for ``closer_to_ideal``.
    """

    column: str
    direction: JudgedDirection
    gold: str | None = None
    ideal: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Front:
    """The rows that no other row dominates.

    Args:
        on_front: For each row of the frame; False where an objective is missing.
        costs: Rows x objectives, less is better.
        n_ok: Rows with all objectives.
        n: Rows there are.
    """

    on_front: "pd.Series"
    costs: "pd.DataFrame"
    n_ok: int
    n: int


@dataclass(frozen=True, kw_only=True)
class Hypervolume:
    """Area or volume between the front and a fixed reference point.

    Args:
        value: The hypervolume; 0 if no point is better than the reference in every objective.
        reference: The reference point, as it was given.
        inside: Points that are better than the reference in every objective.
        n_ok: Points with all objectives.
        n: Points there are.
        reason: Why there is no value; empty if there is.
    """

    value: float
    reference: tuple[float, ...]
    inside: int
    n_ok: int
    n: int
    reason: str = ""


def pareto_front(frame: "pd.DataFrame", objectives: Sequence[FrontObjective]) -> Front:
    """Find the rows that are not dominated: no other is as good everywhere and better somewhere.

    Rows that are equal in every objective are all on the front or all off it.

    Args:
        frame: One row per point; average seeds before.
        objectives: At least one axis.

    Raises:
        ValueError: If there is no objective, a column is missing or a direction is unknown.
    """
    import pandas as pd

    cost_table = costs(frame, objectives)
    array = cost_table.to_numpy(dtype=np.float64)
    ok = np.isfinite(array).all(axis=1)
    mask = np.zeros(len(array), dtype=bool)
    mask[np.flatnonzero(ok)] = non_dominated(array[ok])
    on_front = pd.Series(mask, index=frame.index, name="on_front")
    return Front(on_front=on_front, costs=cost_table, n_ok=int(ok.sum()), n=len(array))


def hypervolume(
    frame: "pd.DataFrame", objectives: Sequence[FrontObjective], reference: Sequence[float]
) -> Hypervolume:
    """Return what 2 or 3 objectives dominate together, up to a fixed reference point.

    Values of two sweeps can be compared only if the reference is the same.

    Args:
        frame: One row per point.
        objectives: The axes.
        reference: The worst point that counts: in the units of the objective for ``min`` and
            ``max``, as a distance for ``closer_to_gold`` and ``closer_to_ideal``.

    Raises:
        ValueError: If there are not 2 or 3 objectives, the reference does not fit them, or a
            column is missing.
    """
    if len(objectives) not in (2, 3):
        raise ValueError(f"objectives must be 2 or 3, got {len(objectives)}")
    if len(reference) != len(objectives) or not np.isfinite(reference).all():
        raise ValueError(f"reference must be {len(objectives)} numbers, got {reference}")
    array = costs(frame, objectives).to_numpy(dtype=np.float64)
    # costs negate what is maximized, so its reference is negated too
    signs = [-1.0 if o.direction == "max" else 1.0 for o in objectives]
    corner = np.asarray(reference, dtype=np.float64) * signs
    ok = np.isfinite(array).all(axis=1)
    return Hypervolume(
        value=dominated_volume(array[ok], corner) if ok.any() else np.nan,
        reference=tuple(float(r) for r in reference),
        inside=int((array[ok] < corner).all(axis=1).sum()),
        n_ok=int(ok.sum()),
        n=len(array),
        reason="" if ok.any() else "no point has all objectives",
    )


def costs(frame: "pd.DataFrame", objectives: Sequence[FrontObjective]) -> "pd.DataFrame":
    """Return the objectives as costs ``(n, d)``: ``max`` negated, ``closer_to`` as a distance.

    Raises:
        ValueError: If there is no objective, a column is missing or a direction is unknown.
    """
    import pandas as pd

    if not objectives:
        raise ValueError("objectives must be at least one")
    names = [o.column for o in objectives]
    if len(set(names)) != len(names):
        raise ValueError(f"objectives must be different columns, got {names}")
    require(frame, [*names, *(o.gold for o in objectives if o.gold)])
    columns = {
        o.column: to_cost(
            frame[o.column], o.direction, gold=frame[o.gold] if o.gold else None, ideal=o.ideal
        )
        for o in objectives
    }
    return pd.DataFrame(columns, index=frame.index)


def non_dominated(points: Floats) -> np.ndarray:
    """Return which of the points ``(n, d)``, finite and less is better, no other dominates."""
    # lexsort sorts by its last key first
    order = np.lexsort(points.T[::-1])
    alive = points[order]
    indices = order
    mask = np.zeros(len(points), dtype=bool)
    while len(alive):
        # the first in lexicographic order cannot be dominated by a later one
        head = alive[0]
        same = (alive == head).all(axis=1)
        mask[indices[same]] = True
        # better than the head somewhere, or else it is equal to it (marked above) or dominated
        keep = (alive < head).any(axis=1)
        alive, indices = alive[keep], indices[keep]
    return mask


def dominated_volume(points: Floats, reference: Floats) -> float:
    """Return the exact volume that points ``(n, 2)`` or ``(n, 3)`` dominate up to a reference.

    In 3 dimensions the third is swept: between two neighboring values the section is an area.

    Raises:
        ValueError: If the points do not have 2 or 3 coordinates like the reference.
    """
    if points.ndim != 2 or points.shape[1] not in (2, 3) or reference.shape != points.shape[1:]:
        shapes = f"{points.shape} and {reference.shape}"
        raise ValueError(f"points must be (n, 2) or (n, 3) and fit the reference, got {shapes}")
    inside = points[(points < reference).all(axis=1)]
    front = inside[non_dominated(inside)]
    if len(front) == 0:
        return 0.0
    if points.shape[1] == 2:
        return _area(front, reference)
    heights = np.unique(front[:, 2])
    # slab i lies above height i, where all points up to that height count
    slabs = np.diff([*heights, reference[2]])
    sections = [_area(front[front[:, 2] <= z, :2], reference[:2]) for z in heights]
    return float(np.dot(slabs, sections))


def _area(points: Floats, reference: Floats) -> float:
    # a staircase: between two neighbors the height is the lowest one so far
    ordered = points[np.lexsort((points[:, 1], points[:, 0]))]
    lowest = np.minimum.accumulate(ordered[:, 1])
    widths = np.diff([*ordered[:, 0], reference[0]])
    return float(np.dot(widths, reference[1] - lowest))
