"""The numbers of a sweep: mean and spread over training seeds, best first.

What a number is, and which row comes first, is the analysis' business: the table of a sweep and
that of its report cannot differ. Of the analysis it takes what needs numpy alone.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from erasure.schema import MAIN_METRICS, is_yardstick
from erasure.schema import format_number as format_number  # noqa: PLC0414 - sweeps import it here
from erasure.sweeps.run_results import RunResult
from erasure.trial.objective import Objective
from multirun_analysis.statistics.seeds import number_labels, over_seeds
from multirun_analysis.tables.ranking import OrderKey, objective_costs, order_key


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A metric of a variant over its training seeds.

    Args:
        mean: Mean of the training seeds.
        deviation: Sample standard deviation between them, NaN for a single one.
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
        is_yardstick: Whether it is retraining or doing nothing, and no candidate for the best.
    """

    label: str
    finished: int
    total: int
    spreads: Mapping[str, Spread]
    is_yardstick: bool = False


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """The table of a sweep.

    Args:
        metrics: Its columns.
        rows: Best first by the objective; without a value, last; yardsticks after methods.
    """

    metrics: Sequence[str]
    rows: Sequence[SettingRow]


def leaderboard(run_results: Sequence[RunResult], objective: Objective) -> Leaderboard:
    """Return mean and spread of every variant in ``run_results``."""
    measured = {name for run_result in run_results for name in run_result.metrics}
    columns = dict.fromkeys([*MAIN_METRICS, *objective.metrics])
    metrics = [name for name in columns if name in measured]
    variants: dict[str, list[RunResult]] = {}
    for run_result in run_results:
        variants.setdefault(run_result.run.variant, []).append(run_result)
    rows = [_row(label, same_setting, metrics) for label, same_setting in variants.items()]
    return Leaderboard(metrics=metrics, rows=sorted(rows, key=lambda row: _order(row, objective)))


def spread(values: Sequence[float], seeds: Sequence[Hashable] | None = None) -> Spread | None:
    """Return mean and spread of what was measured, or None if nothing was.

    Args:
        values: One per trial; NaN and infinity are nothing.
        seeds: Training seed of each value: values with the same one share their models and are
            averaged first. None if all are of different ones.
    """
    numbers = None if seeds is None else number_labels(seeds)
    one_cell = np.zeros(len(values), dtype=np.intp)
    cell = over_seeds(np.array(values, dtype=np.float64), numbers, one_cell, 1)
    if not cell.n_ok[0]:
        return None
    return Spread(mean=float(cell.mean[0]), deviation=float(cell.sd[0]), count=int(cell.n_ok[0]))


def _row(label: str, run_results: Sequence[RunResult], metrics: Sequence[str]) -> SettingRow:
    seeds = [_training_seed(run_result) for run_result in run_results]
    values = {
        name: [run_result.metrics.get(name, math.nan) for run_result in run_results]
        for name in metrics
    }
    spreads = {name: spread(of_metric, seeds) for name, of_metric in values.items()}
    record = run_results[0].run.record
    target = record.params.get("unlearner._target_", "")
    return SettingRow(
        label=label,
        finished=sum(r.state == "finished" for r in run_results),
        total=len(run_results),
        spreads={name: spread for name, spread in spreads.items() if spread is not None},
        is_yardstick=is_yardstick(target, record.tags.get("unlearner", "")),
    )


def _training_seed(run_result: RunResult) -> str:
    """Return the seed of training; without one of its own it is the seed of all stages."""
    tags = run_result.run.record.tags
    return tags.get("seed.train", tags.get("seed", ""))


def _order(row: SettingRow, objective: Objective) -> OrderKey:
    means = {name: spread.mean for name, spread in row.spreads.items()}
    costs = objective_costs(means, objective.metrics)
    return order_key(costs, is_yardstick=row.is_yardstick, name=row.label)
