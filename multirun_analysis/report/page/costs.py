"""What unlearning costs."""

from erasure.schema import format_number
from multirun_analysis.leaderboard.layout import arrow
from multirun_analysis.report.page.leaderboard import in_words
from multirun_analysis.report.page.metrics import metric_picture
from multirun_analysis.report.page.parts import (
    Cell,
    Column,
    Gallery,
    Part,
    Row,
    Section,
    Table,
    Text,
)
from multirun_analysis.report.page.study import Study, labelled, words

DRAWN = ("cost/unlearn_seconds", "cost/peak_memory_mb")
LEAD = (
    "Times are wall times of the method alone, with the device synchronized; retraining is what "
    "they are to be compared with. Times of trials that ran side by side on one machine disturb "
    "each other; passes and steps do not."
)


def costs_section(study: Study) -> Section:
    """Return the costs of all methods: pictures of time, and a table of everything counted."""
    names = [name for name in study.metrics if name.startswith("cost/")]
    drawn = [name for name in DRAWN if name in names]
    parts: list[Part] = []
    for number, block in enumerate(study.board.blocks):
        if drawn:
            pictures = [metric_picture(study, block, number, name) for name in drawn]
            parts.append(Gallery(pictures=pictures, block=block))
        if names:
            parts.append(_table(study, block, names))
    if not names:
        parts.append(Text(text="No run measured what it cost.", tone="quiet"))
    return Section(key="costs", title="Cost", lead=LEAD, parts=parts)


def _table(study: Study, block: str, names: list[str]) -> Table:
    columns = [Column(title="method", number=False)]
    for name in names:
        meaning = study.schema[name]
        note = f"{arrow(meaning)[:1]} {words(meaning)}".strip()
        title = labelled(name.removeprefix("cost/"), meaning)
        columns.append(Column(title=title, note=note, tip=meaning.description))
    rows = []
    for line in study.methods(block):
        cells = [Cell(text=line.method, color=study.looks[line.method].color)]
        for name in names:
            record = study.record(block, name, line.method)
            half = (record["high"] - record["low"]) / 2
            cells.append(
                Cell(
                    text=format_number(record["mean"]),
                    detail="" if half != half else f"± {format_number(half)}",
                    sort=record["mean"],
                    tip=in_words(study, name, record),
                )
            )
        rows.append(Row(cells=cells, aside=line.reference))
    return Table(columns=columns, rows=rows, block=block)
