"""The trade-off between forgetting, utility and time, with its front and its hypervolume."""

import math
from typing import Any

from erasure.schema import format_number
from multirun_analysis.report.page.data import ReportData
from multirun_analysis.report.page.parts import (
    Cell,
    Gallery,
    Items,
    Part,
    Section,
    Table,
    TableColumn,
    TableRow,
    Text,
)
from multirun_analysis.report.page.rendering import slug
from multirun_analysis.report.pictures import Picture
from multirun_analysis.report.pictures.fronts import Plane, Point, front_picture

AXES = {
    "forgetting": "distance from gold on the forget set",
    "utility": "utility lost",
    "time": "time, share of retraining",
}
MOST_POINTS = 24
LEAD = (
    "Three things are wanted at once: to forget like a retrained model, to stay useful, and to "
    "be faster than retraining. Less is better in each. A filled mark is on the front: no other "
    "method is as good in both and better in one. Yardsticks are shown and compete with nobody."
)


def trade_offs_section(data: ReportData) -> Section:
    """Return the planes of forgetting against utility and time, and the objectives as a table."""
    trade_offs = data.trade_offs
    parts: list[Part] = []
    if "forgetting" not in trade_offs.meanings or len(trade_offs.meanings) < 2:
        message = "There is nothing to weigh: it takes distances from gold and utility or time."
        return _section([Text(text=message, tone="quiet")])
    for number, block in enumerate(data.board.blocks):
        order = [line.method for line in data.methods(block)]
        rows = [row for row in trade_offs.table.to_dict("records") if row["block"] == block]
        rows.sort(key=lambda row: order.index(row["method"]))
        measured = [row for row in rows if not math.isnan(row["forgetting"])]
        if not measured:
            parts.append(Text(text="No method has a value.", tone="quiet", block=block))
            continue
        planes = [name for name in ("utility", "time") if name in trade_offs.meanings]
        pictures = [_picture(data, block, number, name, rows) for name in planes]
        parts += [Gallery(pictures=pictures, block=block), _table(data, block, rows)]
    parts.append(Items(items=[(AXES[name], text) for name, text in trade_offs.meanings.items()]))
    return _section(parts)


def _section(parts: list[Part]) -> Section:
    return Section(
        key="trade-offs",
        title="Forgetting, utility and time",
        short="Trade-offs",
        lead=LEAD,
        parts=parts,
    )


def _picture(
    data: ReportData, block: str, number: int, axis: str, table_rows: list[dict[Any, Any]]
) -> Picture:
    kept = {line.method for line in data.methods(block, MOST_POINTS)}
    rows = [
        row
        for row in table_rows
        if (row["method"] in kept or row[f"front_{axis}"])
        and not math.isnan(row["forgetting"] + row[axis])
    ]
    times = [row["time"] for row in rows] if axis == "time" else []
    log = bool(times) and min(times) > 0
    points = [_point(data, row, axis) for row in rows]
    left_out = len(table_rows) - len(rows)
    more = (
        f" {left_out} methods without a value or further behind are left out." if left_out else ""
    )
    limit = " The dotted line is the time of retraining." if log else ""
    return front_picture(
        slug("front", axis, str(number)),
        f"Forgetting and {axis}",
        f"Grey: what the front beats.{limit}{more}",
        Plane(
            x=AXES[axis],
            y=AXES["forgetting"],
            points=points,
            log_x=log,
            limit_x=1.0 if axis == "time" else math.nan,
        ),
    )


def _point(data: ReportData, row: dict[Any, Any], axis: str) -> Point:
    values = {name: _ends(row, name) for name in ("forgetting", axis)}
    lines = [row["method"], *(f"{AXES[name]} {_spread(row, name)}" for name in values)]
    lines.append("on the front" if row[f"front_{axis}"] else "")
    return Point(
        method=row["method"],
        look=data.looks[row["method"]],
        x=values[axis],
        y=values["forgetting"],
        on_front=bool(row[f"front_{axis}"]),
        reference=bool(row["reference"]),
        tip="\n".join(filter(None, lines)),
    )


def _ends(row: dict[Any, Any], name: str) -> tuple[float, float, float]:
    return row[name], row[f"{name}_low"], row[f"{name}_high"]


def _spread(row: dict[Any, Any], name: str) -> str:
    half = (row[f"{name}_high"] - row[f"{name}_low"]) / 2
    return format_number(row[name]) + ("" if math.isnan(half) else f" ± {format_number(half)}")


def _table(data: ReportData, block: str, rows: list[dict[Any, Any]]) -> Table:
    names = list(data.trade_offs.meanings)
    columns = [TableColumn(title="method", number=False)]
    columns += [TableColumn(title=AXES[name], note="less is better") for name in names]
    columns += [
        TableColumn(title="on the front", note="of all objectives", number=False),
        TableColumn(title="hypervolume", note="of the method alone"),
        TableColumn(title="adds", note="hypervolume that is lost without it"),
    ]
    table = [_row(data, row, names) for row in rows]
    table.sort(key=lambda row: row.aside)
    volume = data.trade_offs.volumes[block]
    unit = ", ".join(["1"] * len(names))
    note = (
        f"Hypervolume of all methods together: {format_number(volume.value)}, with the reference "
        f"point ({unit}), the same in every report; {volume.inside} of {volume.n} methods are "
        "better than that point in everything."
    )
    return Table(columns=columns, rows=table, block=block, note=note)


def _row(data: ReportData, row: dict[Any, Any], names: list[str]) -> TableRow:
    cells = [Cell(text=row["method"], color=data.looks[row["method"]].color)]
    for name in names:
        half = (row[f"{name}_high"] - row[f"{name}_low"]) / 2
        detail = "" if math.isnan(half) else f"± {format_number(half)}"
        cells.append(Cell(text=format_number(row[name]), detail=detail, sort=row[name]))
    front = "yes" if row["front"] else "" if row["reference"] else "no"
    cells.append(
        Cell(text=front, sort=float(not row["front"]), look="best" if row["front"] else "")
    )
    cells += [Cell(text=format_number(row[name]), sort=row[name]) for name in ("alone", "adds")]
    return TableRow(cells=cells, aside=bool(row["reference"]))
