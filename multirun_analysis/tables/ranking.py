"""The order of the rows of a leaderboard; standard library alone, as a sweep ranks by it too."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

OrderKey: TypeAlias = tuple[bool, tuple[tuple[bool, float], ...], str]
"""Sorts methods before yardsticks, then best first, then by name."""


def objective_costs(means: Mapping[str, float], objective: Mapping[str, str]) -> tuple[float, ...]:
    """Return what is better where it is less, metric by metric of the objective.

    Args:
        means: Mean by metric; what was not measured is absent or NaN.
        objective: Metric to ``minimize`` or ``maximize``, the most important first.

    Returns:
        One cost per metric, NaN where there is no mean.
    """
    return tuple(
        -means.get(name, math.nan) if direction == "maximize" else means.get(name, math.nan)
        for name, direction in objective.items()
    )


def order_key(costs: Sequence[float], *, is_yardstick: bool, name: str) -> OrderKey:
    """Return the key of a row: yardsticks come last, and what has no value after what has one.

    Args:
        costs: Less is better; the second decides where the first are equal, and so on.
        is_yardstick: Whether the row is no candidate for the best.
        name: Decides where all costs are equal, so that an order can be repeated.
    """
    # NaN compares with nothing, so a missing cost is a flag beside a number
    parts = tuple((math.isnan(cost), 0.0 if math.isnan(cost) else cost) for cost in costs)
    return is_yardstick, parts, name
