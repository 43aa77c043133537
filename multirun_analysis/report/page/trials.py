"""From a method to its trials, and to single samples."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from erasure.schema import format_number
from multirun_analysis.leaderboard.best_trial import command_of
from multirun_analysis.read.samples import Sample, SampleGroup
from multirun_analysis.report.page.leaderboard import method_key
from multirun_analysis.report.page.parts import Cell, Column, Fold, Part, Row, Section, Table, Text
from multirun_analysis.report.page.study import Study, labelled

LEAD = (
    "Every method with all its trials and the samples of its forget set in which it differs "
    "most from retraining; predictions in bold are right. A trial can be repeated with the "
    "command behind its button."
)
PIXELS = 64
"""Longer side of an image of a sample."""


def trials_section(study: Study) -> Section:
    """Return one fold per block and method."""
    values = _values(study)
    rows = study.results.runs.to_dict("records")
    parts: list[Part] = []
    for block in study.board.blocks:
        for line in study.methods(block):
            runs = [run for run in rows if (run["block"], run["method"]) == (block, line.method)]
            inside: list[Part] = [_runs_table(study, runs, values)]
            inside += _behind(study, block, line.method)
            several = f" · {block}" if len(study.board.blocks) > 1 else ""
            parts.append(
                Fold(
                    title=line.method,
                    detail=f"{line.finished} of {line.total} trials finished{several}",
                    key=method_key(study, block, line.method),
                    parts=inside,
                    block=block,
                    color=study.looks[line.method].color,
                )
            )
    return Section(
        key="trials", title="Trials and samples", short="Trials", lead=LEAD, parts=parts
    )


def _values(study: Study) -> Mapping[tuple[str, str], float]:
    """Return the values of the metrics of the board by run and metric."""
    values = study.results.values
    wanted = (values["role"] == "unlearned") & values["metric"].isin(list(study.board.metrics))
    rows = values.loc[wanted, ["run_id", "metric", "value"]]
    keys = zip(rows["run_id"], rows["metric"], strict=True)
    return dict(zip(keys, rows["value"], strict=True))


def _runs_table(
    study: Study, runs: Sequence[Mapping[str, Any]], values: Mapping[tuple[str, str], float]
) -> Table:
    columns = [Column(title="trial", number=False), Column(title="outcome", number=False)]
    columns += [Column(title=labelled(n, m)) for n, m in study.board.metrics.items()]
    rows = [_run_row(study, run, values) for run in runs]
    return Table(columns=columns, rows=rows, compact=True)


def _run_row(study: Study, run: Mapping[str, Any], values: Mapping[tuple[str, str], float]) -> Row:
    kinds = ("split", "train", "unlearn", "evaluate")
    seeds = {kind: str(run[f"seed_{kind}"]) for kind in kinds}
    same = len(set(seeds.values())) == 1
    told = seeds["train"] if same else ", ".join(f"{kind} {seed}" for kind, seed in seeds.items())
    run_id = run["run_id"] if run["artifact_uri"] else ""
    name = Cell(
        text=f"seed {told}".replace("<NA>", "unknown"),
        detail=run_id[:8],
        tip="\n".join(filter(None, (run["name"], f"run {run_id}" if run_id else ""))),
        copies=command_of(study.results, run),
    )
    cells = [name, Cell(text=run["outcome"], detail="", tip=run["reason"])]
    for metric in study.board.metrics:
        value = values.get((run["run_id"], metric), float("nan"))
        cells.append(Cell(text=format_number(value), sort=value))
    return Row(cells=cells)


def _behind(study: Study, block: str, method: str) -> list[Part]:
    """Return the losses and the samples of a method."""
    group = study.samples.groups.get((block, method))
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


def _samples_table(group: SampleGroup, samples: Sequence[Sample], title: str, note: str) -> Table:
    roles = list(samples[0].losses)
    columns = [Column(title="sample", number=False), Column(title="seed"), Column(title="label")]
    for role in roles:
        columns += [Column(title=f"loss, {role}"), Column(title=f"says, {role}")]
    columns.append(Column(title="difference", note=f"of losses, from {group.against}"))
    rows = []
    for one in samples:
        cells = [
            Cell(text=f"id {one.id}", sort=one.id, picture=_image(one.picture)),
            Cell(text="" if one.seed is None else str(one.seed), tip=f"run {one.run_id}"),
            Cell(text=one.target),
        ]
        for role in roles:
            right = one.predicted[role] == one.target
            cells.append(Cell(text=format_number(one.losses[role]), sort=one.losses[role]))
            cells.append(Cell(text=one.predicted[role], look="best" if right else "none"))
        cells.append(Cell(text=format_number(one.distance), sort=one.distance))
        rows.append(Row(cells=cells))
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
