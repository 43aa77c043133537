"""Every metric by itself: pictures of those of the leaderboard, tables of all."""

import math

from erasure.schema import format_number
from multirun_analysis.report.page.leaderboard import in_words, shade
from multirun_analysis.report.page.parts import (
    Cell,
    Column,
    Fold,
    Gallery,
    Part,
    Row,
    Section,
    Table,
    Text,
)
from multirun_analysis.report.page.rendering import slug
from multirun_analysis.report.page.study import Record, Study, labelled, words
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
    Column(title="method", number=False),
    Column(title="mean"),
    Column(title="± interval", tip="Half of Student's interval over training seeds."),
    Column(title="gap", tip="Mean distance of a run from its own gold model."),
    Column(title="± gap"),
    Column(title="s.d.", tip="Between training seeds."),
    Column(title="seeds", tip="Training seeds with a value."),
    Column(title="runs", tip="Runs with a value, of how many if not all."),
)


def metrics_section(study: Study) -> Section:
    """Return pictures of the metrics of the board and tables of all others, costs left out."""
    shown = [name for name in study.board.metrics if not name.startswith("cost/")]
    parts: list[Part] = [
        Gallery(
            pictures=[metric_picture(study, block, number, name) for name in shown], block=block
        )
        for number, block in enumerate(study.board.blocks)
        if shown
    ]
    for block in study.board.blocks:
        parts += _folds(study, block)
    if not study.metrics:
        parts.append(Text(text="No metric was measured.", tone="quiet"))
    return Section(
        key="metrics", title="Metric by metric", short="Metrics", lead=LEAD, parts=parts
    )


def glossary_section(study: Study) -> Section:
    """Return what every metric means and which way it is better."""
    rows = []
    for name, meaning in study.schema.items():
        limits = f"{meaning.low:g} to {meaning.high:g}".replace("inf", "∞")
        ideal = "" if meaning.ideal is None else f"{meaning.ideal:g}"
        texts = (labelled(name, meaning), words(meaning), limits, ideal, meaning.description)
        rows.append(Row(cells=[Cell(text=text) for text in texts]))
    titles = ("metric", "which way", "range", "ideal", "meaning")
    columns = [Column(title=t, number=False, wide=t == "meaning") for t in titles]
    lead = (
        "Closer to gold is better: the aim is the model that would have been trained without the "
        "forget set, whatever its value is. A forget accuracy of 0 is not the goal unless gold "
        "has it, and an attack that finds forgotten samples less than chance gives them away too."
    )
    table = Table(columns=columns, rows=rows, filtered=True)
    return Section(
        key="glossary", title="What the metrics mean", short="Meaning", lead=lead, parts=[table]
    )


def metric_picture(study: Study, block: str, number: int, metric: str) -> Picture:
    """Return the picture of one metric in a block."""
    lines = study.methods(block, MOST_BARS)
    left_out = len(study.methods(block)) - len(lines)
    bars, bands = [], []
    for line in lines:
        record = study.record(block, metric, line.method)
        look = study.looks[line.method]
        if not record or not record["n_ok"]:
            nothing = {"mean": math.nan, "low": math.nan, "high": math.nan}
            bars.append(Bar(method=line.method, look=look, tip="no value", **nothing))
            continue
        numbers = {name: float(record[name]) for name in ("mean", "low", "high")}
        bars.append(
            Bar(method=line.method, look=look, tip=in_words(study, metric, record), **numbers)
        )
        bands.append((float(record["null_low"]), float(record["null_high"])))
    meaning, timed = study.schema[metric], metric == SECONDS
    golds = study.models(block, metric, "gold")
    whose = f"The lines are those of {golds[0]['method']}. " if len(golds) > 1 else ""
    caption = whose + (
        f"The best {MOST_BARS}; {left_out} more are in the tables." if left_out else ""
    )
    return bars_picture(
        slug("metric", metric, str(number)),
        metric,
        caption,
        Bars(
            label=f"{labelled(metric, meaning)}: {words(meaning)}",
            bars=bars,
            limits=(meaning.low, meaning.high),
            gold=_retraining(study, block) if timed else mean_of(study, block, metric, "gold"),
            gold_label="retraining" if timed else "gold",
            original=mean_of(study, block, metric, "original"),
            band=bands[0] if bands else (math.nan, math.nan),
        ),
    )


def metric_table(study: Study, block: str, metric: str) -> Table:
    """Return all numbers of one metric in a block."""
    rows = [
        _row(study, block, metric, record)
        for (_, role), record in study.records.get((block, metric), {}).items()
        if record["n_ok"] or role == "unlearned"
    ]
    rows.sort(key=lambda row: row.aside)
    meaning = study.schema[metric]
    note = f"{meaning.description} {words(meaning).capitalize()}.".strip()
    title = labelled(metric, meaning)
    return Table(columns=HEADINGS, rows=rows, title=title, note=note, compact=True)


def _folds(study: Study, block: str) -> list[Part]:
    """Return the numbers of all metrics, a fold per family, such as all on the forget set."""
    families: dict[str, list[str]] = {}
    for name in study.metrics:
        families.setdefault(name.partition("/")[0], []).append(name)
    several = f" · {block}" if len(study.board.blocks) > 1 else ""
    return [
        Fold(
            title=f"All numbers: {family}",
            detail=f"{', '.join(names)}{several}",
            parts=[metric_table(study, block, name) for name in names],
            block=block,
        )
        for family, names in families.items()
    ]


def _row(study: Study, block: str, metric: str, record: Record) -> Row:
    method, role = record["method"], record["role"]
    look = study.looks[role if role != "unlearned" else method]
    marks = {"silent": record["not_discriminative"], "null": record["indistinguishable"]}
    half = (record["high"] - record["low"]) / 2
    gap_half = (record["gap_high"] - record["gap_low"]) / 2
    gap = record["gap"] if role != "gold" else math.nan
    cells = [
        Cell(text=method, color=look.color),
        Cell(
            text=format_number(record["mean"]),
            sort=record["mean"],
            tip=in_words(study, metric, record),
            shade=shade(study, block, metric, record) if role == "unlearned" else math.nan,
            look=" ".join(name for name, there in marks.items() if there),
        ),
        Cell(text=format_number(half), sort=half, tip=record["interval"]),
        Cell(text=format_number(gap), sort=gap),
        Cell(text=format_number(gap_half) if role != "gold" else "–", sort=gap_half),
        Cell(text=format_number(record["sd"]), sort=record["sd"]),
        Cell(text=str(record["units"]), sort=record["units"]),
        Cell(text=_count(record), sort=record["n_ok"], tip=record["missing"]),
    ]
    return Row(cells=cells, aside=bool(record["reference"]))


def _count(record: Record) -> str:
    return (
        str(record["n"]) if record["n_ok"] == record["n"] else f"{record['n_ok']} of {record['n']}"
    )


def mean_of(study: Study, block: str, metric: str, role: str) -> float:
    """Return the mean of the original or the gold models, NaN without."""
    found = study.models(block, metric, role)
    return float(found[0]["mean"]) if found else math.nan


def _retraining(study: Study, block: str) -> float:
    """Return the time that retraining takes, NaN if nobody measured it."""
    found = study.records.get((block, "cost/retrain_seconds"), {}).values()
    known = [row for row in found if row["n_ok"]]
    return float(max(known, key=lambda row: row["n_ok"])["mean"]) if known else math.nan
