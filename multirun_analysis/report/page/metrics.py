"""Every metric by itself: pictures of those of the leaderboard, tables of all."""

import math

from erasure.schema import format_number
from multirun_analysis.report.page.data import Record, ReportData, direction_text, with_unit
from multirun_analysis.report.page.leaderboard import describe_cell, shade
from multirun_analysis.report.page.parts import (
    Cell,
    Fold,
    Gallery,
    Part,
    Section,
    Table,
    TableColumn,
    TableRow,
    Text,
)
from multirun_analysis.report.page.rendering import slug
from multirun_analysis.report.pictures import Picture
from multirun_analysis.report.pictures.bars import Bar, Bars, bars_picture

SECONDS = "cost/unlearn_seconds"
MOST_BARS = 16
"""Methods in a picture, best first; the tables have all."""

LEAD = (
    "A bar goes from the retrained model (gold, green line) to the mean of a method; the thick "
    "line is its interval over training seeds. The green band is where a mean of as many "
    "retrained models would be: what ends inside cannot be told from retraining. The dashed "
    "line is the original model."
)
HEADINGS = (
    TableColumn(title="method", number=False),
    TableColumn(title="mean"),
    TableColumn(title="± interval", tip="Half of Student's interval over training seeds."),
    TableColumn(title="gap", tip="Mean distance of a run from its own gold model."),
    TableColumn(title="± gap"),
    TableColumn(title="s.d.", tip="Between training seeds."),
    TableColumn(title="seeds", tip="Training seeds with a value."),
    TableColumn(title="runs", tip="Runs with a value, of how many if not all."),
)


def metrics_section(data: ReportData) -> Section:
    """Return pictures of the metrics of the board and tables of all others, costs left out."""
    shown = [name for name in data.board.metrics if not name.startswith("cost/")]
    parts: list[Part] = [
        Gallery(
            pictures=[metric_picture(data, block, number, name) for name in shown], block=block
        )
        for number, block in enumerate(data.board.blocks)
        if shown
    ]
    for block in data.board.blocks:
        parts += _folds(data, block)
    if not data.metrics:
        parts.append(Text(text="No metric was measured.", tone="quiet"))
    return Section(
        key="metrics", title="Metric by metric", short="Metrics", lead=LEAD, parts=parts
    )


def glossary_section(data: ReportData) -> Section:
    """Return what every metric means and which way it is better."""
    rows = []
    for name, meaning in data.schema.items():
        limits = f"{meaning.low:g} to {meaning.high:g}".replace("inf", "∞")
        ideal = "" if meaning.ideal is None else f"{meaning.ideal:g}"
        texts = (
            with_unit(name, meaning),
            direction_text(meaning),
            limits,
            ideal,
            meaning.description,
        )
        rows.append(TableRow(cells=[Cell(text=text) for text in texts]))
    titles = ("metric", "which way", "range", "ideal", "meaning")
    columns = [TableColumn(title=t, number=False, wide=t == "meaning") for t in titles]
    lead = (
        "Closer to gold is better: the aim is the model that would have been trained without the "
        "forget set, whatever its value is. A forget accuracy of 0 is not the goal unless gold "
        "has it, and an attack that finds forgotten samples less than chance gives them away too."
    )
    table = Table(columns=columns, rows=rows, filtered=True)
    return Section(
        key="glossary", title="What the metrics mean", short="Meaning", lead=lead, parts=[table]
    )


def metric_picture(data: ReportData, block: str, number: int, metric: str) -> Picture:
    """Return the picture of one metric in a block."""
    methods = [line.method for line in data.methods(block, MOST_BARS)]
    left_out = len(data.methods(block)) - len(methods)
    records = [data.record(block, metric, method) for method in methods]
    bands = [(float(r["null_low"]), float(r["null_high"])) for r in records if r and r["n_ok"]]
    meaning, timed = data.schema[metric], metric == SECONDS
    golds = data.models(block, metric, "gold")
    whose = f"The lines are those of {golds[0]['method']}. " if len(golds) > 1 else ""
    caption = whose + (
        f"The best {MOST_BARS}; {left_out} more are in the tables." if left_out else ""
    )
    return bars_picture(
        slug("metric", metric, str(number)),
        metric,
        caption,
        Bars(
            label=f"{with_unit(metric, meaning)}: {direction_text(meaning)}",
            bars=[_bar(data, metric, *pair) for pair in zip(methods, records, strict=True)],
            limits=(meaning.low, meaning.high),
            gold=_retraining(data, block) if timed else mean_of(data, block, metric, "gold"),
            gold_label="retraining" if timed else "gold",
            original=mean_of(data, block, metric, "original"),
            # they differ only with the number of seeds or the trainer; the best method's is drawn
            band=bands[0] if bands else (math.nan, math.nan),
        ),
    )


def _bar(data: ReportData, metric: str, method: str, record: Record) -> Bar:
    look, names = data.looks[method], ("mean", "low", "high")
    if not record or not record["n_ok"]:
        return Bar(method=method, look=look, tip="no value", **dict.fromkeys(names, math.nan))
    numbers = {name: float(record[name]) for name in names}
    return Bar(method=method, look=look, tip=describe_cell(data, metric, record), **numbers)


def metric_table(data: ReportData, block: str, metric: str) -> Table:
    """Return all numbers of one metric in a block."""
    rows = [
        _row(data, block, metric, record)
        for (_, role), record in data.records.get((block, metric), {}).items()
        if record["n_ok"] or role == "unlearned"
    ]
    # stable: yardsticks go last, and the rest stays in order
    rows.sort(key=lambda row: row.aside)
    meaning = data.schema[metric]
    note = f"{meaning.description} {direction_text(meaning).capitalize()}.".strip()
    title = with_unit(metric, meaning)
    return Table(columns=HEADINGS, rows=rows, title=title, note=note, compact=True)


def _folds(data: ReportData, block: str) -> list[Part]:
    """Return the numbers of all metrics, a fold per family, such as all on the forget set."""
    families: dict[str, list[str]] = {}
    for name in data.metrics:
        families.setdefault(name.partition("/")[0], []).append(name)
    several = f" · {block}" if len(data.board.blocks) > 1 else ""
    return [
        Fold(
            title=f"All numbers: {family}",
            detail=f"{', '.join(names)}{several}",
            parts=[metric_table(data, block, name) for name in names],
            block=block,
        )
        for family, names in families.items()
    ]


def _row(data: ReportData, block: str, metric: str, record: Record) -> TableRow:
    method, role = record["method"], record["role"]
    look = data.looks[role if role != "unlearned" else method]
    marks = {"silent": record["not_discriminative"], "null": record["indistinguishable"]}
    half = (record["high"] - record["low"]) / 2
    gap_half = (record["gap_high"] - record["gap_low"]) / 2
    # gold is its own gold model
    gap = record["gap"] if role != "gold" else math.nan
    cells = [
        Cell(text=method, color=look.color),
        Cell(
            text=format_number(record["mean"]),
            sort=record["mean"],
            tip=describe_cell(data, metric, record),
            shade=shade(data, block, metric, record) if role == "unlearned" else math.nan,
            look=" ".join(name for name, is_set in marks.items() if is_set),
        ),
        Cell(text=format_number(half), sort=half, tip=record["interval"]),
        Cell(text=format_number(gap), sort=gap),
        Cell(text=format_number(gap_half) if role != "gold" else "–", sort=gap_half),
        Cell(text=format_number(record["sd"]), sort=record["sd"]),
        Cell(text=str(record["units"]), sort=record["units"]),
        Cell(text=_count(record), sort=record["n_ok"], tip=record["missing"]),
    ]
    return TableRow(cells=cells, aside=bool(record["reference"]))


def _count(record: Record) -> str:
    return (
        str(record["n"]) if record["n_ok"] == record["n"] else f"{record['n_ok']} of {record['n']}"
    )


def mean_of(data: ReportData, block: str, metric: str, role: str) -> float:
    """Return the mean of the original or the gold models, NaN without."""
    records = data.models(block, metric, role)
    return float(records[0]["mean"]) if records else math.nan


def _retraining(data: ReportData, block: str) -> float:
    """Return the time that retraining takes, NaN if nobody measured it."""
    records = data.records.get((block, "cost/retrain_seconds"), {}).values()
    measured = [row for row in records if row["n_ok"]]
    # one time per model: of the row that rests on most runs
    return float(max(measured, key=lambda row: row["n_ok"])["mean"]) if measured else math.nan
