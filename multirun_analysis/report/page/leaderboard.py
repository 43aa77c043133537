"""The leaderboard of the page: methods by metrics, colored by how near they are to gold."""

import math
from collections import Counter
from collections.abc import Sequence

from erasure.schema import format_number
from multirun_analysis.leaderboard.board import Line
from multirun_analysis.leaderboard.layout import (
    NULL_MARK,
    Shown,
    arrow,
    lay_out,
    runs_text,
)
from multirun_analysis.report.page.parts import (
    Cell,
    Column,
    Items,
    Part,
    Row,
    Section,
    Table,
    Text,
)
from multirun_analysis.report.page.rendering import slug
from multirun_analysis.report.page.study import Record, Study, labelled, words

LEAD = (
    "A row is a method, averaged over its seeds. Green: nearer to the retrained model (gold) "
    "than the original model is; the stronger, the nearer. Orange: farther from gold than the "
    "original. Hatched: the metric cannot tell original from gold, so it says nothing about "
    "forgetting. A heading sorts; point at a cell for its interval and its distance from gold."
)


def leaderboard_section(study: Study) -> Section:
    """Return one table per block, its footnotes and its legend."""
    layout = lay_out(study.board)
    parts: list[Part] = [
        Table(
            columns=_columns(study),
            rows=[_row(study, line, cells) for line, cells in layout.rows[block]],
            title="Leaderboard" if len(layout.rows) > 1 else "",
            block=block,
            filtered=True,
        )
        for block in layout.rows
    ]
    notes = [("", f"[{letter}] {reason}") for letter, reason in layout.footnotes.items()]
    if not study.board.metrics:
        parts.append(Text(text="No metric was measured.", tone="warning"))
    if notes:
        parts.append(Items(items=notes))
    parts.append(Text(text=_reading(study), tone="quiet"))
    return Section(key="leaderboard", title="Leaderboard", lead=LEAD, parts=parts)


def method_key(study: Study, block: str, method: str) -> str:
    """Return what leads to the trials of a method."""
    return slug("trials", str(study.board.blocks.index(block)), method)


def shade(study: Study, block: str, metric: str, record: Record) -> float:
    """Return 1 for gold's own value, 0 for the original's, below 0 for what is farther.

    NaN where there is nothing to compare with.
    """
    golds = study.models(block, metric, "gold")
    originals = study.models(block, metric, "original")
    if not record or not golds or not originals or record["not_discriminative"]:
        return math.nan
    if math.isnan(record["gap"]):  # a distance from gold by its own definition
        own, start = record["cost"], originals[0]["cost"]
    else:
        own, start = record["gap"], originals[0]["gap"]
    if not start > 0 or math.isnan(own):
        return math.nan
    return max(-1.0, 1.0 - float(own) / float(start))


def in_words(study: Study, metric: str, record: Record) -> str:
    """Return all that is known of a cell, in lines."""
    lines = [f"{record['method']}, {labelled(metric, study.schema[metric])}"]
    if record["n_ok"]:
        mean = f"mean {format_number(record['mean'])}"
        ends = f"{format_number(record['low'])} to {format_number(record['high'])}"
        known = not math.isnan(record["low"])
        lines.append(f"{mean}, {study.percent} interval {ends}" if known else mean)
        lines.append(f"{record['n_ok']} of {record['n']} runs, {record['units']} training seeds")
    if not math.isnan(record["gap"]) and record["role"] != "gold":
        lines.append(f"mean distance of a run from its gold model {format_number(record['gap'])}")
    if not math.isnan(record["null_low"]):
        band = f"{format_number(record['null_low'])} to {format_number(record['null_high'])}"
        lines.append(f"retrained models: {band}")
    lines += [text for text in (record["interval"], record["missing"]) if text]
    return "\n".join(lines)


def _reading(study: Study) -> str:
    """Return how to read a cell."""
    cells = [cell for line in study.board.lines for cell in line.cells.values()]
    told = []
    if any(not math.isnan(cell.half_width) for cell in cells):
        told.append(f"± half of Student's {study.percent} interval over training seeds")
    if any(not math.isnan(cell.gap) for cell in cells):
        told.append("gap: mean distance of a run from the gold model of its seed")
    if any(cell.best for cell in cells):
        told.append("bold: best, and its interval excludes all others")
    if any(cell.in_null_band for cell in cells):
        told.append(f"{NULL_MARK} where retrained models are, too")
    if study.board.ranked_by:
        told.append(f"ordered by {study.board.ranked_by}, yardsticks last")
    refused = Counter(cell.no_interval for cell in cells if cell.no_interval and cell.n_ok)
    told += [f"{number} cells have no interval: {why}" for why, number in refused.most_common()]
    return f"{'; '.join(told)}." if told else ""


def _columns(study: Study) -> list[Column]:
    named = Column(title="method", note="a name leads to its trials", number=False)
    count = Column(title="runs", tip="Runs that finished, of how many if not all.")
    metrics = [
        Column(
            title=labelled(name, meaning),
            note=f"{arrow(meaning)[:1]} {words(meaning)}".strip(),
            tip=f"{meaning.description}\n{words(meaning)}".strip(),
        )
        for name, meaning in study.board.metrics.items()
    ]
    return [named, count, *metrics]


def _row(study: Study, line: Line, cells: Sequence[Shown]) -> Row:
    target = "" if line.model else method_key(study, line.block, line.method)
    name = Cell(text=line.method, color=study.looks[_look(line)].color, target=target)
    count = Cell(text=runs_text(line), sort=line.finished)
    found = [
        _cell(study, line, metric, shown)
        for metric, shown in zip(study.board.metrics, cells, strict=True)
    ]
    return Row(cells=[name, count, *found], aside=line.reference)


def _look(line: Line) -> str:
    """Return the name of its look; models of several trainers share that of their role."""
    return line.method.partition(" (trainer=")[0] if line.model else line.method


def _cell(study: Study, line: Line, metric: str, shown: Shown) -> Cell:
    role = _look(line) if line.model else "unlearned"
    record = study.record(line.block, metric, line.method, role)
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
        tip=in_words(study, metric, record),
        sort=record["mean"] if math.isnan(record["cost"]) else record["cost"],
        shade=shade(study, line.block, metric, record) if not line.model else math.nan,
        look=" ".join(name for name, there in marks.items() if there),
    )
