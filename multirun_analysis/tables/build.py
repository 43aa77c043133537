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
from multirun_analysis.tables.ranking import objective_costs, order_key

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
    ranked_by = ranking_metrics(results, chosen)
    table = aggregate(results, list(dict.fromkeys([*chosen, *ranked_by])), level=level)
    return Board(
        metrics={name: results.schema[name] for name in chosen},
        lines=_sorted(results, table, ranked_by),
        level=level,
        ranked_by=next(iter(ranked_by), ""),
        silent=_silent(table, chosen),
        provenance=provenance_of(results),
        notes=results.notes,
    )


def ranking_metrics(results: Results, metrics: Sequence[str]) -> dict[str, str]:
    """Return the metrics that order the rows, the most important first, and which way.

    Those of the objective, ``minimize`` or ``maximize``, as a sweep ranks by them. Without an
    objective it is the average gap, or the first of ``metrics`` that is judged, with an empty
    direction: then the meaning of the metric says what is better.
    """
    measured = {name: way for name, way in results.objective.items() if name in results.schema}
    if measured:
        return measured
    candidates = (name for name in ("gap/avg", *metrics) if name in results.schema)
    judged = (name for name in candidates if results.schema[name].direction != "info")
    return dict.fromkeys(list(judged)[:1], "")


def row_costs(
    table: "pd.DataFrame", ranked_by: Mapping[str, str]
) -> dict[tuple[str, str, str], tuple[float, ...]]:
    """Return what rows of :func:`aggregate` are ranked by, by block, method and role."""
    means: dict[tuple[str, str, str], dict[str, float]] = {}
    for row in table.to_dict("records"):
        metric = row["metric"]
        if metric in ranked_by:
            # an empty direction is that of the metric's meaning, which cost has applied
            value = row["mean"] if ranked_by[metric] else row["cost"]
            means.setdefault((row["block"], row["method"], row["role"]), {})[metric] = value
    return {key: objective_costs(values, ranked_by) for key, values in means.items()}


def _sorted(results: Results, table: "pd.DataFrame", ranked_by: Mapping[str, str]) -> list[Line]:
    """Return the lines by block: methods, yardsticks, gold, original, each best first."""
    blocks = {block: number for number, block in enumerate(dict.fromkeys(results.runs["block"]))}
    costs = row_costs(table, ranked_by)

    def sort_key(line_and_role: tuple[Line, str]) -> tuple[Any, ...]:
        line, role = line_and_role
        key = costs.get((line.block, line.method, role), ())
        ranks = order_key(key, is_yardstick=line.reference, name=line.method)
        # False sorts first
        return blocks[line.block], line.model, role == "original", ranks

    return [line for line, _ in sorted(_lines(results, table), key=sort_key)]


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
