"""Everything that the sections of a report are about, computed once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from multirun_analysis.errors import AnalysisError, near
from multirun_analysis.read.frame import MetricMeaning, Results
from multirun_analysis.read.samples import Samples, read_samples
from multirun_analysis.report.pictures import Look, looks_of
from multirun_analysis.statistics import one_metric
from multirun_analysis.tables.aggregation import aggregate, main_metrics
from multirun_analysis.tables.board import Board, arrow
from multirun_analysis.tables.build import leaderboard
from multirun_analysis.tables.cells import Line
from multirun_analysis.tables.comparison import PAIR
from multirun_analysis.tables.trade_offs import TradeOffs, trade_offs

if TYPE_CHECKING:
    import pandas as pd

WORDS = {
    "max": "more is better",
    "min": "less is better",
    "closer_to_gold": "closer to gold is better",
    "info": "not judged",
}

WIDE = ("block", "method", "reference", *PAIR)
"""Columns of runs that comparisons need."""

FLAGS = ("indistinguishable", "not_discriminative")

Record = Mapping[str, Any]
"""A row of :func:`multirun_analysis.aggregate`; a flag that is unknown is False."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportData:
    """A sweep, worked out.

    Args:
        results: What was loaded.
        board: The leaderboard.
        table: Means and intervals of every metric that is declared, those of the board first.
        records: Rows of the table by block and metric, methods and models.
        trade_offs: The objectives.
        samples: What is behind the averages.
        looks: Color and marker by method.
        level: Confidence of the intervals.
        baseline: The method that others are compared with; empty for the first of each block.
    """

    results: Results
    board: Board
    table: "pd.DataFrame"
    records: Mapping[tuple[str, str], Mapping[tuple[str, str], Record]]
    trade_offs: TradeOffs
    samples: Samples
    looks: Mapping[str, Look]
    level: float
    baseline: str

    @property
    def percent(self) -> str:
        """The confidence for a reader."""
        return f"{100 * self.level:g} %"

    @property
    def schema(self) -> Mapping[str, MetricMeaning]:
        """The meaning of every metric."""
        return self.results.schema

    @cached_property
    def judged(self) -> list[str]:
        """The metrics of the board first, then all others that are judged."""
        return [name for name in self.metrics if self.schema[name].direction != "info"]

    @cached_property
    def metrics(self) -> list[str]:
        """The metrics of the table."""
        return list(dict.fromkeys(self.table["metric"]))

    @cached_property
    def lines(self) -> dict[str, list[Line]]:
        """The lines of the board by block, best first."""
        lines: dict[str, list[Line]] = {block: [] for block in self.board.blocks}
        for line in self.board.lines:
            lines[line.block].append(line)
        return lines

    def methods(self, block: str, most: int = 0) -> list[Line]:
        """Return the methods of a block, best first, yardsticks last.

        Args:
            block: Which one.
            most: Candidates that are kept, 0 for all; yardsticks are kept always.
        """
        lines = [line for line in self.lines[block] if not line.model]
        candidates = [line for line in lines if not line.reference]
        kept = candidates[:most] if most else candidates
        return [*kept, *(line for line in lines if line.reference)]

    def record(self, block: str, metric: str, method: str, role: str = "unlearned") -> Record:
        """Return a row of the table; empty if there is none."""
        return self.records.get((block, metric), {}).get((method, role), {})

    def wide(self, metric: str) -> "pd.DataFrame":
        """Return a metric as a row per run and a column per role."""
        if metric not in self._wide:
            self._wide[metric] = one_metric(self._runs, self.results.values, metric)
        return self._wide[metric]

    @cached_property
    def _runs(self) -> "pd.DataFrame":
        return self.results.runs[["run_id", *WIDE]]

    @cached_property
    def _wide(self) -> "dict[str, pd.DataFrame]":
        return {}

    def models(self, block: str, metric: str, role: str) -> list[Record]:
        """Return the rows of the original or of the gold model with a value, of most runs first.

        There are several if methods have trainers of their own.
        """
        records = self.records.get((block, metric), {})
        rows = [
            row for (_, record_role), row in records.items() if record_role == role and row["n_ok"]
        ]
        return sorted(rows, key=lambda row: -int(row["n_ok"]))


def report_data(results: Results, *, level: float, baseline: str) -> ReportData:
    """Work out everything that a report shows.

    Raises:
        AnalysisError: If the baseline is no method.
    """
    methods = dict(zip(results.runs["method"], results.runs["unlearner"], strict=True))
    if baseline and baseline not in methods:
        raise AnalysisError(f"no method is called {baseline!r}; {near(baseline, methods)}")
    table = aggregate(results, _metrics(results), level=level)
    records: dict[tuple[str, str], dict[tuple[str, str], Record]] = {}
    for row in table.to_dict("records"):
        cells = records.setdefault((row["block"], row["metric"]), {})
        cells[row["method"], row["role"]] = {
            **row,
            **{name: _is_true(row[name]) for name in FLAGS},
        }
    return ReportData(
        results=results,
        board=leaderboard(results, level=level),
        table=table,
        records=records,
        trade_offs=trade_offs(results, level=level),
        samples=read_samples(results),
        looks=looks_of(methods),
        level=level,
        baseline=baseline,
    )


def _is_true(flag: object) -> bool:
    """Return a flag that may be missing as Python's own."""
    # by name, without numpy; NA and NaN are neither, and NA has no truth at all
    return type(flag).__name__ in ("bool", "bool_") and bool(flag)


def direction_text(meaning: MetricMeaning) -> str:
    """Return which way is better, for a reader."""
    if meaning.direction == "closer_to_ideal":
        return f"closer to {arrow(meaning).removeprefix('→ ')} is better"
    return WORDS[meaning.direction]


def with_unit(name: str, meaning: MetricMeaning) -> str:
    """Return the name of a metric with its unit."""
    return f"{name} [{meaning.unit}]" if meaning.unit else name


def _metrics(results: Results) -> Sequence[str]:
    declared = [name for name, meaning in results.schema.items() if meaning.declared]
    return list(dict.fromkeys([*main_metrics(results), *declared]))
