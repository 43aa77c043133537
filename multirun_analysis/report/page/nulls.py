"""Which methods cannot be told from retraining, and which metrics could not tell anyway."""

import math

from erasure.schema import format_number
from multirun_analysis.report.page.data import ReportData, with_unit
from multirun_analysis.report.page.metrics import mean_of
from multirun_analysis.report.page.parts import (
    Cell,
    Part,
    Section,
    Table,
    TableColumn,
    TableRow,
    Text,
)
from multirun_analysis.tables.cells import NULL_MARK

LEAD = (
    "Two models retrained with other seeds differ, too. A method whose mean lies where a mean of "
    "as many retrained models would lie cannot be told from retraining by that metric: this is "
    "no proof that it is equal, and with few gold models the band is wide. A metric in which "
    "original and gold hardly differ proves nothing."
)
HEADINGS = (
    TableColumn(title="metric", number=False),
    TableColumn(title="original"),
    TableColumn(title="gold"),
    TableColumn(title="band", note="of retrained models"),
    TableColumn(title="gold models"),
    TableColumn(title="tells original from gold", number=False),
    TableColumn(title="methods inside", number=False, wide=True),
)


def nulls_section(data: ReportData) -> Section:
    """Return where retrained models lie in each metric, and which methods lie there too."""
    parts: list[Part] = []
    note = (
        f"{NULL_MARK} in other tables marks the same. To tell them apart, original and gold must "
        "differ by 2 s.d. of the gold models, and by 0.005."
    )
    for block in data.board.blocks:
        rows = [row for name in data.judged if (row := _row(data, block, name))]
        if rows:
            parts.append(Table(columns=HEADINGS, rows=rows, block=block, note=note))
        else:
            message = "No band: it takes two gold models of different seeds."
            parts.append(Text(text=message, tone="quiet", block=block))
    title = "Indistinguishable from retraining"
    return Section(key="nulls", title=title, short="Null bands", lead=LEAD, parts=parts)


def _row(data: ReportData, block: str, metric: str) -> TableRow | None:
    methods = [
        record
        for (_, role), record in data.records.get((block, metric), {}).items()
        if role == "unlearned" and not math.isnan(record["null_low"])
    ]
    golds = data.models(block, metric, "gold")
    if not methods or not golds:
        return None
    # its band is the narrowest
    most_seeds = max(methods, key=lambda record: int(record["units"]))
    low, high = most_seeds["null_low"], most_seeds["null_high"]
    inside = [r["method"] for r in methods if r["indistinguishable"] and not r["reference"]]
    silent = any(record["not_discriminative"] for record in methods)
    gold, start = golds[0], mean_of(data, block, metric, "original")
    spread = f"s.d. {format_number(gold['sd'])}"
    cells = [
        Cell(text=with_unit(metric, data.schema[metric])),
        Cell(text=format_number(start), sort=start),
        Cell(text=format_number(gold["mean"]), sort=gold["mean"], detail=spread),
        Cell(text=f"{format_number(low)} to {format_number(high)}", sort=high - low),
        Cell(text=str(gold["n_ok"]), sort=gold["n_ok"]),
        Cell(text="no" if silent else "yes", look="silent" if silent else ""),
        Cell(text=", ".join(inside) or "none", look="" if inside else "none"),
    ]
    return TableRow(cells=cells)
