"""The leaderboard: methods by metrics, with the facts that a table may not leave out."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from multirun_analysis.leaderboard.aggregation import aggregate, main_metrics
from multirun_analysis.leaderboard.facts import facts_of
from multirun_analysis.read.frame import MetricMeaning, Results

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A metric of a method in a block, over seeds.

    Args:
        mean: Mean, NaN if there is no value.
        half_width: Half the length of its interval, NaN without one.
        gap: Mean distance of a run from its gold model, NaN where that has no meaning.
        n_ok: Runs with a value.
        n: Runs there should be.
        best: Whether it is better than all others and its interval excludes theirs.
        in_null_band: Whether retrained models are just as far from each other.
        missing: Why values are missing, empty if none is.
        no_interval: Why there is no interval, empty if there is one.
    """

    mean: float
    half_width: float
    gap: float
    n_ok: int
    n: int
    best: bool
    in_null_band: bool
    missing: str
    no_interval: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row of the leaderboard.

    Args:
        block: Data set, model and split.
        method: Unlearner and swept settings, or ``original`` or ``gold``.
        reference: Whether it is a yardstick and no candidate for the best.
        model: Whether it is the original or the gold model instead of a method.
        finished: Runs that finished; of a model, how many there are.
        total: Runs there should be.
        cells: By metric; a metric nobody measured for it is missing.
    """

    block: str
    method: str
    reference: bool
    model: bool
    finished: int
    total: int
    cells: Mapping[str, Cell]


@dataclass(frozen=True, kw_only=True)
class Board:
    """A leaderboard.

    Args:
        metrics: Its columns, with their meaning.
        lines: Its rows by block, best first, yardsticks after methods.
        level: Confidence of the intervals.
        ranked_by: The metric that orders the rows, empty if there is none.
        silent: Metrics by block that cannot tell original from gold, let alone methods.
        facts: What a table may not leave out, by name.
        notes: What a reader has to know about how it was loaded.
    """

    metrics: Mapping[str, MetricMeaning]
    lines: Sequence[Line]
    level: float
    ranked_by: str
    silent: Mapping[str, Sequence[str]]
    facts: Mapping[str, str]
    notes: Sequence[str]

    @property
    def blocks(self) -> list[str]:
        """The blocks, in the order of the lines."""
        return list(dict.fromkeys(line.block for line in self.lines))

    def _repr_markdown_(self) -> str:
        """Return the table as a notebook shows it."""
        from multirun_analysis.leaderboard.tables import to_markdown

        return to_markdown(self)


def leaderboard(
    results: Results, metrics: Sequence[str] | None = None, *, level: float = 0.95
) -> Board:
    """Return the table of all methods.

    Args:
        results: What was loaded.
        metrics: Columns; by default the usual ones and what the trials are ranked by.
        level: Confidence of the intervals, in (0, 1).

    Raises:
        AnalysisError: If no run has a metric.
    """
    chosen = main_metrics(results) if metrics is None else list(dict.fromkeys(metrics))
    ranked_by = _ranked_by(results, chosen)
    wanted = [*chosen, *([ranked_by] if ranked_by not in ("", *chosen) else [])]
    table = aggregate(results, wanted, level=level)
    lines = _lines(results, table)
    order = {block: place for place, block in enumerate(dict.fromkeys(results.runs["block"]))}
    costs = table[table["metric"] == ranked_by].set_index(["block", "method", "role"])["cost"]

    def place(line: tuple[Line, str]) -> tuple[Any, ...]:
        row, role = line
        cost = costs.get((row.block, row.method, role), math.nan)
        kind = row.model, role == "original", row.reference
        return order[row.block], *kind, math.isnan(cost), cost, row.method

    return Board(
        metrics={name: results.schema[name] for name in chosen},
        lines=[row for row, _ in sorted(lines, key=place)],
        level=level,
        ranked_by=ranked_by,
        silent=_silent(table, chosen),
        facts=facts_of(results),
        notes=results.notes,
    )


def _ranked_by(results: Results, metrics: Sequence[str]) -> str:
    wanted = [*results.objective, "gap/avg", *metrics]
    judged = (n for n in wanted if n in results.schema and results.schema[n].direction != "info")
    return next(judged, "")


def _silent(table: "pd.DataFrame", metrics: Sequence[str]) -> dict[str, list[str]]:
    flagged = table[table["not_discriminative"].fillna(value=False).astype(bool)]
    found: dict[str, list[str]] = {}
    for block, group in flagged.groupby("block", sort=False):
        names = [name for name in metrics if (group["metric"] == name).any()]
        found.update({str(block): names} if names else {})
    return found


def _lines(results: Results, table: "pd.DataFrame") -> list[tuple[Line, str]]:
    """Return the lines in any order, each with its role."""
    records = [_plain(record) for record in table.to_dict("records")]
    best = {id(record) for record in _best(records)}
    cells: dict[tuple[str, str, str], dict[str, Cell]] = {}
    facts: dict[tuple[str, str, str], tuple[bool, int]] = {}
    for record in records:
        key = record["block"], record["method"], record["role"]
        if record["n_ok"] or record["role"] == "unlearned":
            cells.setdefault(key, {})[record["metric"]] = _cell(record, id(record) in best)
        known = facts.get(key, (False, 0))[1]
        facts[key] = record["reference"], max(known, record["n"])
    runs: dict[tuple[str, str], Counter[str]] = {}
    for run in results.runs.to_dict("records"):
        runs.setdefault((run["block"], run["method"]), Counter())[run["outcome"]] += 1
        key = run["block"], run["method"], "unlearned"
        facts.setdefault(key, (bool(run["reference"]), 0))
    return [_line(key, facts[key], runs, cells.get(key, {})) for key in facts]


def _line(
    key: tuple[str, str, str],
    facts: tuple[bool, int],
    runs: Mapping[tuple[str, str], "Counter[str]"],
    cells: Mapping[str, Cell],
) -> tuple[Line, str]:
    block, method, role = key
    reference, models = facts
    outcomes = runs.get((block, method), Counter())
    model = role != "unlearned"
    line = Line(
        block=block,
        method=method,
        reference=reference,
        model=model,
        finished=models if model else outcomes["finished"],
        total=models if model else outcomes.total(),
        cells=cells,
    )
    return line, role


def _cell(record: Mapping[str, Any], best: bool) -> Cell:  # noqa: FBT001 - a fact
    return Cell(
        mean=record["mean"],
        half_width=(record["high"] - record["low"]) / 2,
        gap=record["gap"] if record["role"] != "gold" else math.nan,
        n_ok=int(record["n_ok"]),
        n=int(record["n"]),
        best=best,
        in_null_band=record["indistinguishable"] is True,
        missing=record["missing"],
        no_interval=record["interval"],
    )


def _best(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the cells whose interval lies below those of all others in their block."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for record in records:
        if not record["reference"] and not math.isnan(record["cost"]):
            groups.setdefault((record["block"], record["metric"]), []).append(record)
    found = []
    for group in groups.values():
        first, *others = sorted(group, key=lambda record: float(record["cost"]))
        if others and all(first["cost_high"] < other["cost_low"] for other in others):
            found.append(first)
    return found


def _plain(record: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a row of a table with Python's own True, which NA is not."""
    flag = record["indistinguishable"]
    known = isinstance(flag, bool) or type(flag).__name__ == "bool_"
    return {**record, "indistinguishable": known and bool(flag)}
