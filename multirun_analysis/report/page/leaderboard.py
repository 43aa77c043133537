"""The leaderboard of the page: methods by metrics, colored by how near they are to gold."""

import math
from collections import Counter
from collections.abc import Sequence

from erasure.schema import format_number
from multirun_analysis.report.page.data import Record, ReportData, direction_text, with_unit
from multirun_analysis.report.page.parts import (
    Cell,
    Items,
    Part,
    Section,
    Table,
    TableColumn,
    TableRow,
    Text,
)
from multirun_analysis.report.page.rendering import slug
from multirun_analysis.tables.board import arrow, lay_out
from multirun_analysis.tables.cells import NULL_MARK, CellText, Line, runs_text

LEAD = (
    "A row is a method, averaged over its seeds. Green: nearer to the retrained model (gold) "
    "than the original model is; the stronger, the nearer. Orange: farther from gold than the "
    "original. Hatched: the metric cannot tell original from gold, so it says nothing about "
    "forgetting. A heading sorts; point at a cell for its interval and its distance from gold."
)


def leaderboard_section(data: ReportData) -> Section:
    """Return one table per block, its footnotes and its legend."""
    layout = lay_out(data.board)
    parts: list[Part] = [
        Table(
            columns=_columns(data),
            rows=[_row(data, line, cells) for line, cells in layout.rows[block]],
            title="Leaderboard" if len(layout.rows) > 1 else "",
            block=block,
            filtered=True,
        )
        for block in layout.rows
    ]
    notes = [("", f"[{letter}] {reason}") for letter, reason in layout.footnotes.items()]
    if not data.board.metrics:
        parts.append(Text(text="No metric was measured.", tone="warning"))
    if notes:
        parts.append(Items(items=notes))
    parts.append(Text(text=_reading(data), tone="quiet"))
    return Section(key="leaderboard", title="Leaderboard", lead=LEAD, parts=parts)


def method_key(data: ReportData, block: str, method: str) -> str:
    """Return what leads to the trials of a method."""
    return slug("trials", str(data.board.blocks.index(block)), method)


def shade(data: ReportData, block: str, metric: str, record: Record) -> float:
    """Return 1 for gold's own value, 0 for the original's, below 0 for what is farther.

    NaN where there is nothing to compare with.
    """
    golds = data.models(block, metric, "gold")
    originals = data.models(block, metric, "original")
    if not record or not golds or not originals or record["not_discriminative"]:
        return math.nan
    if math.isnan(record["gap"]):  # a distance from gold by its own definition
        distance, start = record["cost"], originals[0]["cost"]
    else:
        distance, start = record["gap"], originals[0]["gap"]
    if not start > 0 or math.isnan(distance):
        return math.nan
    # twice as far as the original is as bad as any farther
    return max(-1.0, 1.0 - float(distance) / float(start))


def describe_cell(data: ReportData, metric: str, record: Record) -> str:
    """Return all that is known of a cell, in lines."""
    lines = [f"{record['method']}, {with_unit(metric, data.schema[metric])}"]
    if record["n_ok"]:
        mean = f"mean {format_number(record['mean'])}"
        ends = f"{format_number(record['low'])} to {format_number(record['high'])}"
        has_interval = not math.isnan(record["low"])
        lines.append(f"{mean}, {data.percent} interval {ends}" if has_interval else mean)
        lines.append(f"{record['n_ok']} of {record['n']} runs, {record['units']} training seeds")
    if not math.isnan(record["gap"]) and record["role"] != "gold":
        lines.append(f"mean distance of a run from its gold model {format_number(record['gap'])}")
    if not math.isnan(record["null_low"]):
        band = f"{format_number(record['null_low'])} to {format_number(record['null_high'])}"
        lines.append(f"retrained models: {band}")
    lines += [text for text in (record["interval"], record["missing"]) if text]
    return "\n".join(lines)


def _reading(data: ReportData) -> str:
    """Return how to read a cell."""
    cells = [cell for line in data.board.lines for cell in line.cells.values()]
    sentences = []
    if any(not math.isnan(cell.half_width) for cell in cells):
        sentences.append(f"± half of Student's {data.percent} interval over training seeds")
    if any(not math.isnan(cell.gap) for cell in cells):
        sentences.append("gap: mean distance of a run from the gold model of its seed")
    if any(cell.best for cell in cells):
        sentences.append("bold: best, and its interval excludes all others")
    if any(cell.in_null_band for cell in cells):
        sentences.append(f"{NULL_MARK} where retrained models are, too")
    if data.board.ranked_by:
        sentences.append(f"ordered by {data.board.ranked_by}, yardsticks last")
    refused = Counter(cell.no_interval for cell in cells if cell.no_interval and cell.n_ok)
    sentences += [
        f"{number} cells have no interval: {why}" for why, number in refused.most_common()
    ]
    return f"{'; '.join(sentences)}." if sentences else ""


def _columns(data: ReportData) -> list[TableColumn]:
    named = TableColumn(title="method", note="a name leads to its trials", number=False)
    count = TableColumn(title="runs", tip="Runs that finished, of how many if not all.")
    metrics = [
        TableColumn(
            title=with_unit(name, meaning),
            note=f"{arrow(meaning)[:1]} {direction_text(meaning)}".strip(),
            tip=f"{meaning.description}\n{direction_text(meaning)}".strip(),
        )
        for name, meaning in data.board.metrics.items()
    ]
    return [named, count, *metrics]


def _row(data: ReportData, line: Line, cells: Sequence[CellText]) -> TableRow:
    target = "" if line.model else method_key(data, line.block, line.method)
    name = Cell(text=line.method, color=data.looks[_look(line)].color, target=target)
    count = Cell(text=runs_text(line), sort=line.finished)
    metric_cells = [
        _cell(data, line, metric, shown)
        for metric, shown in zip(data.board.metrics, cells, strict=True)
    ]
    return TableRow(cells=[name, count, *metric_cells], aside=line.reference)


def _look(line: Line) -> str:
    """Return the name of its look; models of several trainers share that of their role."""
    return line.method.partition(" (trainer=")[0] if line.model else line.method


def _cell(data: ReportData, line: Line, metric: str, shown: CellText) -> Cell:
    role = _look(line) if line.model else "unlearned"
    record = data.record(line.block, metric, line.method, role)
    if not record:
        return Cell(text=shown.mean, look="none", sort=math.nan)
    marks = {"best": shown.best, "null": shown.null, "silent": record["not_discriminative"]}
    detail = [
        f"± {shown.half_width}" if shown.half_width else "",
        f"gap {shown.gap}" if shown.gap else "",
        f"{shown.count} [{shown.note}]" if shown.note else shown.count,
    ]
    return Cell(
        text=shown.mean,
        detail="\n".join(filter(None, detail)),
        tip=describe_cell(data, metric, record),
        # by cost, so that ascending is best first; what is not judged has no cost
        sort=record["mean"] if math.isnan(record["cost"]) else record["cost"],
        shade=shade(data, line.block, metric, record) if not line.model else math.nan,
        look=" ".join(name for name, is_set in marks.items() if is_set),
    )
