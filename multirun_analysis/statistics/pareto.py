"""Methods that no other beats on every objective, and how much of the plane they cover."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from multirun_analysis.statistics.dominance import dominated_volume, non_dominated
from multirun_analysis.statistics.values import Floats, JudgedDirection, require, to_cost

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Objective:
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Attainment:
    """What a share of the seeds reaches or betters: the boundary of the region, as a step curve.

    Args:
        curves: Columns ``level``, ``seeds`` (how many have to reach it) and the two objectives
            in the units of :func:`costs`, ascending in the first. Between two points the
            second objective keeps the value of the point before. A level that is nowhere
            reached has no rows.
        seeds: Seeds with at least one point.
        n_ok: Points with both objectives and a known seed.
        n: Points there are.
        reason: Why there are no curves; empty if there are.
    """

    curves: "pd.DataFrame"
    seeds: int
    n_ok: int
    n: int
    reason: str = ""


def pareto_front(frame: "pd.DataFrame", objectives: Sequence[Objective]) -> Front:
    """Find the rows that are not dominated: no other is as good everywhere and better somewhere.

    Rows that are equal in every objective are all on the front or all off it.

    Args:
        frame: One row per point; average seeds before.
        objectives: At least one axis.

    Raises:
        ValueError: If there is no objective, a column is missing or a direction is unknown.
    """
    import pandas as pd

    found = costs(frame, objectives)
    array = found.to_numpy(dtype=np.float64)
    ok = np.isfinite(array).all(axis=1)
    mask = np.zeros(len(array), dtype=bool)
    mask[np.flatnonzero(ok)] = non_dominated(array[ok])
    on_front = pd.Series(mask, index=frame.index, name="on_front")
    return Front(on_front=on_front, costs=found, n_ok=int(ok.sum()), n=len(array))


def hypervolume(
    frame: "pd.DataFrame", objectives: Sequence[Objective], reference: Sequence[float]
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


def attainment(
    frame: "pd.DataFrame",
    objectives: tuple[Objective, Objective],
    *,
    seed: str,
    levels: Sequence[float] = (0.25, 0.5, 0.75),
) -> Attainment:
    """Return how far a share of the seeds gets: the surfaces of the empirical attainment.

    Args:
        frame: One row per point and seed.
        objectives: Two axes.
        seed: Column of the seeds.
        levels: Shares of the seeds, in (0, 1]; 0.5 is the median front.

    Raises:
        ValueError: If there are not 2 objectives, a level is out of range or a column is missing.

    ReferenceModels:
        V. Grunert da Fonseca et al., "Inferential performance assessment of stochastic
        optimisers and the attainment function", EMO 2001.
    """
    import pandas as pd

    if len(objectives) != 2:
        raise ValueError(f"objectives must be 2, got {len(objectives)}")
    for level in levels:
        if not 0.0 < level <= 1.0:
            raise ValueError(f"levels must be in (0, 1], got {level}")
    require(frame, [seed])
    array = costs(frame, objectives).to_numpy(dtype=np.float64)
    ok = np.isfinite(array).all(axis=1) & frame[seed].notna().to_numpy()
    codes, seeds = pd.factorize(frame.loc[ok, seed])
    first, second = (o.column for o in objectives)
    x, best = _best_so_far(array[ok], codes, len(seeds))
    parts = [pd.DataFrame(columns=["level", "seeds", first, second], dtype=np.float64)]
    for level in levels:
        # 0.1 * 30 is a little more than 3
        needed = int(np.ceil(level * len(seeds) - 1e-9))
        y = np.partition(best, needed - 1, axis=0)[needed - 1] if len(seeds) else x
        parts.append(_steps(x, y, level, needed, (first, second)))
    curves = pd.concat([p for p in parts if len(p)] or parts[:1], ignore_index=True)
    reason = "" if len(seeds) else "no point has both objectives"
    return Attainment(
        curves=curves, seeds=len(seeds), n_ok=int(ok.sum()), n=len(array), reason=reason
    )


def costs(frame: "pd.DataFrame", objectives: Sequence[Objective]) -> "pd.DataFrame":
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
    found = {
        o.column: to_cost(
            frame[o.column], o.direction, gold=frame[o.gold] if o.gold else None, ideal=o.ideal
        )
        for o in objectives
    }
    return pd.DataFrame(found, index=frame.index)


def _best_so_far(points: Floats, codes: np.ndarray, seeds: int) -> tuple[Floats, Floats]:
    """Return the first coordinates ``(k,)`` and the best second one ``(seeds, k)`` up to each."""
    x, place = np.unique(points[:, 0], return_inverse=True)
    best = np.full((seeds, len(x)), np.inf)
    np.minimum.at(best, (codes, place), points[:, 1])
    return x, np.minimum.accumulate(best, axis=1)


def _steps(
    x: Floats, y: Floats, level: float, needed: int, names: tuple[str, str]
) -> "pd.DataFrame":
    import pandas as pd

    before = np.concatenate([[np.inf], y[:-1]]) if len(y) else y
    corner = np.flatnonzero(y < before)
    return pd.DataFrame(
        {"level": level, "seeds": needed, names[0]: x[corner], names[1]: y[corner]}
    )
