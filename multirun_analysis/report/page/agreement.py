"""Whether the metrics say the same."""

from typing import TYPE_CHECKING

from erasure.schema import format_number
from multirun_analysis.report.page.data import ReportData
from multirun_analysis.report.page.parts import (
    Cell,
    Part,
    Section,
    Table,
    TableColumn,
    TableRow,
    Text,
)
from multirun_analysis.statistics import agreement_table, to_cost

if TYPE_CHECKING:
    import pandas as pd

LEAD = (
    "Kendall's τ between two metrics, both turned so that less is better: 1 if they order the "
    "runs alike, -1 if they contradict each other. Over all runs it may only say that both "
    "separate the same methods; within methods it says whether one can stand for the other; "
    "between methods it compares their means, of which there are few. Yardsticks are left out."
)
LEVELS = {"runs": "over runs", "within": "within methods", "between": "between methods"}


def agreement_section(data: ReportData) -> Section:
    """Return one table of pairs of metrics per block."""
    parts: list[Part] = []
    names = [name for name in data.board.metrics if name in data.judged]
    for block in data.board.blocks:
        costs = _costs(data, block, names)
        measured = [name for name in names if costs[name].notna().sum() > 1]
        if len(measured) < 2:
            message = "It takes two metrics with values of two runs."
            parts.append(Text(text=message, tone="quiet", block=block))
            continue
        parts.append(_table(agreement_table(costs, measured), block))
    title = "Agreement between metrics"
    return Section(key="agreement", title=title, short="Agreement", lead=LEAD, parts=parts)


def _costs(data: ReportData, block: str, names: list[str]) -> "pd.DataFrame":
    runs = data.results.runs
    candidates = runs[(runs["block"] == block) & ~runs["reference"]]
    frame = candidates[["method"]].reset_index(drop=True)
    for name in names:
        meaning = data.schema[name]
        if meaning.direction != "info":
            wide = data.wide(name)
            # wide has the runs in the order of the frame, so its costs fit as they are
            chosen = wide[(wide["block"] == block) & ~wide["reference"]]
            gold, ideal = chosen["gold"], meaning.ideal
            frame[name] = to_cost(chosen["unlearned"], meaning.direction, gold=gold, ideal=ideal)
    return frame


def _table(pairs: "pd.DataFrame", block: str) -> Table:
    columns = [TableColumn(title="metric", number=False), TableColumn(title="and", number=False)]
    columns += [
        TableColumn(title=f"τ {name}", note="p (smallest attainable)") for name in LEVELS.values()
    ]
    columns.append(TableColumn(title="runs"))
    rows = []
    for pair in pairs.to_dict("records"):
        cells = [Cell(text=pair["first"]), Cell(text=pair["second"])]
        for level in LEVELS:
            value, p = pair[f"{level}_value"], pair[f"{level}_p"]
            floor = format_number(pair[f"{level}_smallest_p"])
            # only NaN is not equal to itself
            detail = "" if p != p else f"p {format_number(p)} ({floor})"
            reason = pair[f"{level}_reason"]
            cells.append(
                Cell(text=format_number(value), detail=detail, sort=value, shade=value, tip=reason)
            )
        count = (
            f"{pair['n_ok']}" if pair["n_ok"] == pair["n"] else f"{pair['n_ok']} of {pair['n']}"
        )
        cells.append(Cell(text=count, sort=pair["n_ok"]))
        rows.append(TableRow(cells=cells))
    return Table(columns=columns, rows=rows, block=block, compact=True)
