"""From results to the leaderboard: lines, their order, and the best of each column."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from multirun_analysis.read.frame import Results
from multirun_analysis.tables.aggregation import aggregate, main_metrics
from multirun_analysis.tables.board import Board
from multirun_analysis.tables.cells import BoardCell, Line
from multirun_analysis.tables.provenance import provenance_of

if TYPE_CHECKING:
    import pandas as pd


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
    order = {
        block: position for position, block in enumerate(dict.fromkeys(results.runs["block"]))
    }
    costs = table[table["metric"] == ranked_by].set_index(["block", "method", "role"])["cost"]

    def sort_key(line: tuple[Line, str]) -> tuple[Any, ...]:
        row, role = line
        cost = costs.get((row.block, row.method, role), math.nan)
        # False sorts first: methods, yardsticks, gold, original
        kind = row.model, role == "original", row.reference
        return order[row.block], *kind, math.isnan(cost), cost, row.method

    return Board(
        metrics={name: results.schema[name] for name in chosen},
        lines=[row for row, _ in sorted(lines, key=sort_key)],
        level=level,
        ranked_by=ranked_by,
        silent=_silent(table, chosen),
        provenance=provenance_of(results),
        notes=results.notes,
    )


def _ranked_by(results: Results, metrics: Sequence[str]) -> str:
    wanted = [*results.objective, "gap/avg", *metrics]
    judged = (n for n in wanted if n in results.schema and results.schema[n].direction != "info")
    return next(judged, "")


def _silent(table: "pd.DataFrame", metrics: Sequence[str]) -> dict[str, list[str]]:
    flagged = table[table["not_discriminative"].fillna(value=False).astype(bool)]
    silent: dict[str, list[str]] = {}
    for block, group in flagged.groupby("block", sort=False):
        names = [name for name in metrics if (group["metric"] == name).any()]
        silent.update({str(block): names} if names else {})
    return silent


def _lines(results: Results, table: "pd.DataFrame") -> list[tuple[Line, str]]:
    """Return the lines in any order, each with its role."""
    records = [_plain(record) for record in table.to_dict("records")]
    # by identity: a record is a dict, which has no hash
    best = {id(record) for record in _best(records)}
    cells: dict[tuple[str, str, str], dict[str, BoardCell]] = {}
    models_of: dict[tuple[str, str, str], tuple[bool, int]] = {}
    for record in records:
        key = record["block"], record["method"], record["role"]
        # a model nobody measured has no line, a method without a value has
        if record["n_ok"] or record["role"] == "unlearned":
            cells.setdefault(key, {})[record["metric"]] = _cell(record, id(record) in best)
        models = models_of.get(key, (False, 0))[1]
        models_of[key] = record["reference"], max(models, record["n"])
    runs: dict[tuple[str, str], Counter[str]] = {}
    for run in results.runs.to_dict("records"):
        runs.setdefault((run["block"], run["method"]), Counter())[run["outcome"]] += 1
        key = run["block"], run["method"], "unlearned"
        models_of.setdefault(key, (bool(run["reference"]), 0))
    return [_line(key, models_of[key], runs, cells.get(key, {})) for key in models_of]


def _line(
    key: tuple[str, str, str],
    model_count: tuple[bool, int],
    runs: Mapping[tuple[str, str], "Counter[str]"],
    cells: Mapping[str, BoardCell],
) -> tuple[Line, str]:
    block, method, role = key
    reference, models = model_count
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


def _cell(record: Mapping[str, Any], best: bool) -> BoardCell:  # noqa: FBT001 - a fact
    return BoardCell(
        mean=record["mean"],
        half_width=(record["high"] - record["low"]) / 2,
        # gold is its own gold model
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
    best_records = []
    for group in groups.values():
        first, *rest = sorted(group, key=lambda record: float(record["cost"]))
        if rest and all(first["cost_high"] < other["cost_low"] for other in rest):
            best_records.append(first)
    return best_records


def _plain(record: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a row of a table with Python's own True, which NA is not."""
    flag = record["indistinguishable"]
    # numpy's bool_ is no bool, and pandas' NA has no truth at all
    is_flag = isinstance(flag, bool) or type(flag).__name__ == "bool_"
    return {**record, "indistinguishable": is_flag and bool(flag)}
