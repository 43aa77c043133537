"""Measuring with a metric: where what cannot be computed becomes NaN with a reason."""

import math
from typing import Literal

from erasure.core.context import EvalContext
from erasure.core.metric import Compute, Metric, Parts, Values
from erasure.core.values import Meaning, MetricValue, NotComputableError, not_computed


class UndeclaredNamesError(ValueError):
    """A metric measured other numbers than it declares."""


def meanings(metric: Metric, heldout: Literal["test", "val"]) -> dict[str, Meaning]:
    """Return the meaning of every number of a metric, by name."""
    declared = metric.values(Parts(heldout))
    if isinstance(declared, Values):
        return dict(declared.meanings)
    return {name: value.meaning for name, value in declared.items()}


def measure(metric: Metric, ctx: EvalContext) -> dict[str, MetricValue]:
    """Measure the subject of ``ctx``.

    Returns:
        A value for each name that the metric declares; nothing if it says by ``subjects`` that it
        is not about this subject.

    Raises:
        UndeclaredNamesError: If the numbers of one computation are not those it declares.
    """
    if ctx.subject not in getattr(metric, "subjects", (ctx.subject,)):
        return {}
    declared = metric.values(Parts(ctx.heldout))
    if isinstance(declared, Values):
        return _measure_together(declared, ctx)
    return {name: measure_value(value.compute, ctx) for name, value in declared.items()}


def measure_value(compute: Compute, ctx: EvalContext) -> MetricValue:
    """Return what ``compute`` returns, or NaN with the reason it raised as ``NotComputable``."""
    try:
        return _as_value(compute(ctx))
    except NotComputableError as error:
        return not_computed(error.status, error.reason, error.counts)


def _measure_together(declared: Values, ctx: EvalContext) -> dict[str, MetricValue]:
    try:
        measured = {name: _as_value(value) for name, value in declared.compute(ctx).items()}
    except NotComputableError as error:
        nothing = not_computed(error.status, error.reason, error.counts)
        return dict.fromkeys(declared.meanings, nothing)
    if set(measured) != set(declared.meanings):
        names = f"measured {sorted(measured)}, but declares {sorted(declared.meanings)}"
        raise UndeclaredNamesError(names)
    return measured


def _as_value(value: MetricValue | float) -> MetricValue:
    if isinstance(value, MetricValue):
        return value
    return not_computed("degenerate", "nan") if math.isnan(value) else MetricValue(value=value)
