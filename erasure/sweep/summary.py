"""The numbers of a sweep: mean and spread over seeds, best first."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from erasure.sweep.run_results import RunResult
from erasure.trial.objective import Objective

MAIN = (
    "forget/accuracy",
    "retain/accuracy",
    "test/accuracy",
    "val/accuracy",
    "mia/loss/auc",
    "gap/avg",
    "cost/unlearn_seconds",
    "cost/speedup",
)
"""Metrics a reader wants side by side; those that were not measured are left out."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A metric over the seeds of a variant.

    Args:
        mean: Mean of the measured values.
        deviation: Sample standard deviation, NaN for a single value.
        count: Number of measured values.
    """

    mean: float
    deviation: float
    count: int

    def __str__(self) -> str:
        if math.isnan(self.deviation):
            return format_number(self.mean)
        return f"{format_number(self.mean)} ± {format_number(self.deviation)}"


@dataclass(frozen=True, kw_only=True)
class SettingRow:
    """A variant: trials that differ by seeds alone.

    Args:
        label: The unlearner, and what else is swept.
        finished: Number of finished trials.
        total: Number of trials.
        spreads: By metric; a metric nobody measured is missing.
    """

    label: str
    finished: int
    total: int
    spreads: Mapping[str, Spread]


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """The table of a sweep.

    Args:
        metrics: Its columns.
        rows: Best first by the first metric of the objective; without a value, last.
    """

    metrics: Sequence[str]
    rows: Sequence[SettingRow]


def leaderboard(run_results: Sequence[RunResult], objective: Objective) -> Leaderboard:
    """Return mean and spread of every variant in ``run_results``."""
    measured = {name for run_result in run_results for name in run_result.metrics}
    columns = dict.fromkeys([*MAIN, *objective.metrics])
    metrics = [name for name in columns if name in measured]
    variants: dict[str, list[RunResult]] = {}
    for run_result in run_results:
        variants.setdefault(run_result.run.variant, []).append(run_result)
    rows = [_row(label, same_setting, metrics) for label, same_setting in variants.items()]
    return Leaderboard(metrics=metrics, rows=sorted(rows, key=lambda row: _rank(row, objective)))


def format_number(value: float) -> str:
    """Return a number as a person wants to read it."""
    # smaller ones would read 0.000, larger ones have digits that say nothing
    plain = value == 0 or 0.0005 <= abs(value) < 1000
    return f"{value:.3f}" if plain else f"{value:.3g}"


def _row(label: str, run_results: Sequence[RunResult], metrics: Sequence[str]) -> SettingRow:
    spreads = {
        name: spread([r.metrics[name] for r in run_results if name in r.metrics])
        for name in metrics
    }
    return SettingRow(
        label=label,
        finished=sum(r.state == "finished" for r in run_results),
        total=len(run_results),
        spreads={name: spread for name, spread in spreads.items() if spread is not None},
    )


def spread(values: Sequence[float]) -> Spread | None:
    """Return mean and spread of what was measured, or None if nothing was; NaN is nothing."""
    measured = [value for value in values if not math.isnan(value)]
    if not measured:
        return None
    deviation = stdev(measured) if len(measured) > 1 else math.nan
    return Spread(mean=fmean(measured), deviation=deviation, count=len(measured))


def _rank(row: SettingRow, objective: Objective) -> tuple[float, ...]:
    """Return a key that sorts better rows first, metric by metric of the objective."""
    key: list[float] = []
    for name, direction in objective.metrics.items():
        mean = row.spreads[name].mean if name in row.spreads else math.inf  # unmeasured: last
        key.append(-mean if direction == "maximize" and name in row.spreads else mean)
    return tuple(key)
