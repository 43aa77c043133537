"""What unlearning costs."""

from erasure.schema import format_number
from multirun_analysis.report.page.data import ReportData, direction_text, with_unit
from multirun_analysis.report.page.leaderboard import describe_cell
from multirun_analysis.report.page.metrics import metric_picture
from multirun_analysis.report.page.parts import (
    Cell,
    Gallery,
    Part,
    Section,
    Table,
    TableColumn,
    TableRow,
    Text,
)
from multirun_analysis.tables.board import arrow

DRAWN = ("cost/unlearn_seconds", "cost/peak_memory_mb")
LEAD = (
    "Times are wall times of the method alone, with the device synchronized; retraining is what "
    "they are to be compared with. Times of trials that ran side by side on one machine disturb "
    "each other; passes and steps do not."
)


def costs_section(data: ReportData) -> Section:
    """Return the costs of all methods: pictures of time, and a table of everything counted."""
    names = [name for name in data.metrics if name.startswith("cost/")]
    drawn = [name for name in DRAWN if name in names]
    parts: list[Part] = []
    for number, block in enumerate(data.board.blocks):
        if drawn:
            pictures = [metric_picture(data, block, number, name) for name in drawn]
            parts.append(Gallery(pictures=pictures, block=block))
        if names:
            parts.append(_table(data, block, names))
    if not names:
        parts.append(Text(text="No run measured what it cost.", tone="quiet"))
    return Section(key="costs", title="Cost", lead=LEAD, parts=parts)


def _table(data: ReportData, block: str, names: list[str]) -> Table:
    columns = [TableColumn(title="method", number=False)]
    for name in names:
        meaning = data.schema[name]
        note = f"{arrow(meaning)[:1]} {direction_text(meaning)}".strip()
        title = with_unit(name.removeprefix("cost/"), meaning)
        columns.append(TableColumn(title=title, note=note, tip=meaning.description))
    rows = []
    for line in data.methods(block):
        cells = [Cell(text=line.method, color=data.looks[line.method].color)]
        for name in names:
            record = data.record(block, name, line.method)
            half = (record["high"] - record["low"]) / 2
            cells.append(
                Cell(
                    text=format_number(record["mean"]),
                    detail="" if half != half else f"± {format_number(half)}",
                    sort=record["mean"],
                    tip=describe_cell(data, name, record),
                )
            )
        rows.append(TableRow(cells=cells, aside=line.reference))
    return Table(columns=columns, rows=rows, block=block)
