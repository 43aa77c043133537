"""Dominated points and the exact volume they dominate; less is better."""

import numpy as np

from multirun_analysis.statistics.values import Floats


def non_dominated(points: Floats) -> np.ndarray:
    """Return which of the points ``(n, d)``, finite and less is better, no other dominates."""
    order = np.lexsort(points.T[::-1])
    alive = points[order]
    places = order
    mask = np.zeros(len(points), dtype=bool)
    while len(alive):
        # the first in lexicographic order cannot be dominated by a later one
        head = alive[0]
        same = (alive == head).all(axis=1)
        mask[places[same]] = True
        keep = (alive < head).any(axis=1)
        alive, places = alive[keep], places[keep]
    return mask


def dominated_volume(points: Floats, reference: Floats) -> float:
    """Return the exact volume that points ``(n, 2)`` or ``(n, 3)`` dominate up to a reference.

    In 3 dimensions the third is swept: between two neighboring values the section is an area.

    Raises:
        ValueError: If the points do not have 2 or 3 coordinates like the reference.
    """
    if points.ndim != 2 or points.shape[1] not in (2, 3) or reference.shape != points.shape[1:]:
        found = f"{points.shape} and {reference.shape}"
        raise ValueError(f"points must be (n, 2) or (n, 3) and fit the reference, got {found}")
    inside = points[(points < reference).all(axis=1)]
    front = inside[non_dominated(inside)]
    if len(front) == 0:
        return 0.0
    if points.shape[1] == 2:
        return _area(front, reference)
    heights = np.unique(front[:, 2])
    slabs = np.diff([*heights, reference[2]])
    sections = [_area(front[front[:, 2] <= z, :2], reference[:2]) for z in heights]
    return float(np.dot(slabs, sections))


def _area(points: Floats, reference: Floats) -> float:
    ordered = points[np.lexsort((points[:, 1], points[:, 0]))]
    lowest = np.minimum.accumulate(ordered[:, 1])
    widths = np.diff([*ordered[:, 0], reference[0]])
    return float(np.dot(widths, reference[1] - lowest))
