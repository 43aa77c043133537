"""From a method to its trials, and to single samples."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from erasure.schema import format_number
from multirun_analysis.read.samples import ForgetSample, SampleGroup
from multirun_analysis.report.page.data import ReportData, with_unit
from multirun_analysis.report.page.leaderboard import method_key
from multirun_analysis.report.page.parts import (
    Cell,
    Fold,
    Part,
    Section,
    Table,
    TableColumn,
    TableRow,
    Text,
)
from multirun_analysis.tables.best_trial import command_of

LEAD = (
    "Every method with all its trials and the samples of its forget set in which it differs "
    "most from retraining; predictions in bold are right. A trial can be repeated with the "
    "command behind its button."
)
PIXELS = 64
"""Longer side of an image of a sample."""


def trials_section(data: ReportData) -> Section:
    """Return one fold per block and method."""
    values = _values(data)
    rows = data.results.runs.to_dict("records")
    parts: list[Part] = []
    for block in data.board.blocks:
        for line in data.methods(block):
            runs = [run for run in rows if (run["block"], run["method"]) == (block, line.method)]
            inside: list[Part] = [_runs_table(data, runs, values)]
            inside += _behind(data, block, line.method)
            several = f" · {block}" if len(data.board.blocks) > 1 else ""
            parts.append(
                Fold(
                    title=line.method,
                    detail=f"{line.finished} of {line.total} trials finished{several}",
                    key=method_key(data, block, line.method),
                    parts=inside,
                    block=block,
                    color=data.looks[line.method].color,
                )
            )
    return Section(
        key="trials", title="Trials and samples", short="Trials", lead=LEAD, parts=parts
    )


def _values(data: ReportData) -> Mapping[tuple[str, str], float]:
    """Return the values of the metrics of the board by run and metric."""
    values = data.results.values
    wanted = (values["role"] == "unlearned") & values["metric"].isin(list(data.board.metrics))
    rows = values.loc[wanted, ["run_id", "metric", "value"]]
    keys = zip(rows["run_id"], rows["metric"], strict=True)
    return dict(zip(keys, rows["value"], strict=True))


def _runs_table(
    data: ReportData, runs: Sequence[Mapping[str, Any]], values: Mapping[tuple[str, str], float]
) -> Table:
    columns = [
        TableColumn(title="trial", number=False),
        TableColumn(title="outcome", number=False),
    ]
    columns += [TableColumn(title=with_unit(n, m)) for n, m in data.board.metrics.items()]
    rows = [_run_row(data, run, values) for run in runs]
    return Table(columns=columns, rows=rows, compact=True)


def _run_row(
    data: ReportData, run: Mapping[str, Any], values: Mapping[tuple[str, str], float]
) -> TableRow:
    kinds = ("split", "train", "unlearn", "evaluate")
    seeds = {kind: str(run[f"seed_{kind}"]) for kind in kinds}
    same = len(set(seeds.values())) == 1
    seed_text = (
        seeds["train"] if same else ", ".join(f"{kind} {seed}" for kind, seed in seeds.items())
    )
    run_id = run["run_id"] if run["artifact_uri"] else ""
    name = Cell(
        # <NA> is how pandas writes an unknown whole number
        text=f"seed {seed_text}".replace("<NA>", "unknown"),
        detail=run_id[:8],
        tip="\n".join(filter(None, (run["name"], f"run {run_id}" if run_id else ""))),
        copies=command_of(data.results, run),
    )
    cells = [name, Cell(text=run["outcome"], detail="", tip=run["reason"])]
    for metric in data.board.metrics:
        value = values.get((run["run_id"], metric), float("nan"))
        cells.append(Cell(text=format_number(value), sort=value))
    return TableRow(cells=cells)


def _behind(data: ReportData, block: str, method: str) -> list[Part]:
    """Return the losses and the samples of a method."""
    group = data.samples.groups.get((block, method))
    if group is None:
        return [Text(text="No per_sample.parquet to look into.", tone="quiet")]
    parts: list[Part] = []
    against = {"gold": "the retrained model", "original": "the original model"}[group.against]
    if group.least:
        note = f"Their loss is furthest below that of {against}: the model still knows them."
        parts.append(_samples_table(group, group.least, "Least forgotten", note))
    if group.most:
        note = f"Their loss is furthest above that of {against}: forgotten more than is needed."
        parts.append(_samples_table(group, group.most, "Most forgotten", note))
    if not group.least and not group.most:
        parts.append(Text(text=f"Every loss is that of {against}.", tone="quiet"))
    return parts


def _samples_table(
    group: SampleGroup, samples: Sequence[ForgetSample], title: str, note: str
) -> Table:
    roles = list(samples[0].losses)
    columns = [
        TableColumn(title="sample", number=False),
        TableColumn(title="seed"),
        TableColumn(title="label"),
    ]
    for role in roles:
        columns += [TableColumn(title=f"loss, {role}"), TableColumn(title=f"says, {role}")]
    columns.append(TableColumn(title="difference", note=f"of losses, from {group.against}"))
    rows = []
    for sample in samples:
        cells = [
            Cell(text=f"id {sample.id}", sort=sample.id, picture=_image(sample.picture)),
            Cell(text="" if sample.seed is None else str(sample.seed), tip=f"run {sample.run_id}"),
            Cell(text=sample.target),
        ]
        for role in roles:
            right = sample.predicted[role] == sample.target
            cells.append(Cell(text=format_number(sample.losses[role]), sort=sample.losses[role]))
            cells.append(Cell(text=sample.predicted[role], look="best" if right else "none"))
        cells.append(Cell(text=format_number(sample.distance), sort=sample.distance))
        rows.append(TableRow(cells=cells))
    return Table(columns=columns, rows=rows, title=title, note=note, compact=True)


def _image(path: Path | None) -> str:
    """Return a small image as an address that needs no file, empty without one."""
    if path is None:
        return ""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
    except (OSError, UnidentifiedImageError):
        return ""  # cut while it was copied, or no image
    small.thumbnail((PIXELS, PIXELS))
    data = io.BytesIO()
    small.save(data, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
