"""The trade-off between forgetting, utility and time, with its front and its hypervolume."""

import math
from typing import Any

from erasure.schema import format_number
from multirun_analysis.report.page.parts import (
    Cell,
    Column,
    Gallery,
    Items,
    Part,
    Row,
    Section,
    Table,
    Text,
)
from multirun_analysis.report.page.rendering import slug
from multirun_analysis.report.page.study import Study
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


def trade_offs_section(study: Study) -> Section:
    """Return the planes of forgetting against utility and time, and the objectives as a table."""
    found = study.trade_offs
    parts: list[Part] = []
    if "forgetting" not in found.meanings or len(found.meanings) < 2:
        told = "There is nothing to weigh: it takes distances from gold and utility or time."
        return _section([Text(text=told, tone="quiet")])
    for number, block in enumerate(study.board.blocks):
        order = [line.method for line in study.methods(block)]
        rows = [row for row in found.table.to_dict("records") if row["block"] == block]
        rows.sort(key=lambda row: order.index(row["method"]))
        known = [row for row in rows if not math.isnan(row["forgetting"])]
        if not known:
            parts.append(Text(text="No method has a value.", tone="quiet", block=block))
            continue
        planes = [name for name in ("utility", "time") if name in found.meanings]
        pictures = [_picture(study, block, number, name, rows) for name in planes]
        parts += [Gallery(pictures=pictures, block=block), _table(study, block, rows)]
    parts.append(Items(items=[(AXES[name], text) for name, text in found.meanings.items()]))
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
    study: Study, block: str, number: int, other: str, every: list[dict[Any, Any]]
) -> Picture:
    kept = {line.method for line in study.methods(block, MOST_POINTS)}
    rows = [
        row
        for row in every
        if (row["method"] in kept or row[f"front_{other}"])
        and not math.isnan(row["forgetting"] + row[other])
    ]
    times = [row["time"] for row in rows] if other == "time" else []
    log = bool(times) and min(times) > 0
    points = [_point(study, row, other) for row in rows]
    left_out = len(every) - len(rows)
    more = (
        f" {left_out} methods without a value or further behind are left out." if left_out else ""
    )
    limit = " The dotted line is the time of retraining." if log else ""
    return front_picture(
        slug("front", other, str(number)),
        f"Forgetting and {other}",
        f"Grey: what the front beats.{limit}{more}",
        Plane(
            x=AXES[other],
            y=AXES["forgetting"],
            points=points,
            log_x=log,
            limit_x=1.0 if other == "time" else math.nan,
        ),
    )


def _point(study: Study, row: dict[Any, Any], other: str) -> Point:
    values = {name: _ends(row, name) for name in ("forgetting", other)}
    told = [row["method"], *(f"{AXES[name]} {_spread(row, name)}" for name in values)]
    told.append("on the front" if row[f"front_{other}"] else "")
    return Point(
        method=row["method"],
        look=study.looks[row["method"]],
        x=values[other],
        y=values["forgetting"],
        on_front=bool(row[f"front_{other}"]),
        reference=bool(row["reference"]),
        tip="\n".join(filter(None, told)),
    )


def _ends(row: dict[Any, Any], name: str) -> tuple[float, float, float]:
    return row[name], row[f"{name}_low"], row[f"{name}_high"]


def _spread(row: dict[Any, Any], name: str) -> str:
    half = (row[f"{name}_high"] - row[f"{name}_low"]) / 2
    return format_number(row[name]) + ("" if math.isnan(half) else f" ± {format_number(half)}")


def _table(study: Study, block: str, rows: list[dict[Any, Any]]) -> Table:
    names = list(study.trade_offs.meanings)
    columns = [Column(title="method", number=False)]
    columns += [Column(title=AXES[name], note="less is better") for name in names]
    columns += [
        Column(title="on the front", note="of all objectives", number=False),
        Column(title="hypervolume", note="of the method alone"),
        Column(title="adds", note="hypervolume that is lost without it"),
    ]
    table = [_row(study, row, names) for row in rows]
    table.sort(key=lambda row: row.aside)
    volume = study.trade_offs.volumes[block]
    unit = ", ".join(["1"] * len(names))
    note = (
        f"Hypervolume of all methods together: {format_number(volume.value)}, with the reference "
        f"point ({unit}), the same in every report; {volume.inside} of {volume.n} methods are "
        "better than that point in everything."
    )
    return Table(columns=columns, rows=table, block=block, note=note)


def _row(study: Study, row: dict[Any, Any], names: list[str]) -> Row:
    cells = [Cell(text=row["method"], color=study.looks[row["method"]].color)]
    for name in names:
        half = (row[f"{name}_high"] - row[f"{name}_low"]) / 2
        detail = "" if math.isnan(half) else f"± {format_number(half)}"
        cells.append(Cell(text=format_number(row[name]), detail=detail, sort=row[name]))
    front = "yes" if row["front"] else "" if row["reference"] else "no"
    cells.append(
        Cell(text=front, sort=float(not row["front"]), look="best" if row["front"] else "")
    )
    cells += [Cell(text=format_number(row[name]), sort=row[name]) for name in ("alone", "adds")]
    return Row(cells=cells, aside=bool(row["reference"]))
