"""What an attacker gets: ROC at low false-positive rates, and losses of forgotten samples."""

import math
from collections.abc import Mapping

import numpy as np

from erasure.schema import format_number
from multirun_analysis.read.samples import EDGES, FPR, SampleGroup
from multirun_analysis.report.page.data import ReportData
from multirun_analysis.report.page.parts import Gallery, Part, Section, Text
from multirun_analysis.report.page.rendering import slug
from multirun_analysis.report.pictures import Picture
from multirun_analysis.report.pictures.attacks import Curve, Histogram, losses_picture, roc_picture

MOST_CURVES = 8
"""Methods in a picture, best first."""

LEAD = (
    "The attack guesses that a sample was trained on if its loss is low. What counts is how "
    "many forget samples it finds while it hardly ever accuses a sample that was never seen: "
    "the left end of the curve. A method is good if its curve is that of gold, not if it is "
    "low. Attacks on single samples with many reference models see more than this one."
)


def attacks_section(data: ReportData) -> Section:
    """Return the ROC and the histograms of every block."""
    parts: list[Part] = []
    if data.samples.note:
        parts.append(Text(text=data.samples.note, tone="warning"))
    for number, block in enumerate(data.board.blocks):
        groups = {m: g for (b, m), g in data.samples.groups.items() if b == block}
        candidates = [_roc(data, block, number, groups), _losses(data, block, number, groups)]
        pictures = [picture for picture in candidates if picture is not None]
        if pictures:
            parts.append(Gallery(pictures=pictures, block=block))
        else:
            message = "No trial left losses of single samples (per_sample.parquet) to draw."
            parts.append(Text(text=message, tone="quiet", block=block))
    return Section(
        key="attacks", title="Attacks and losses", short="Attacks", lead=LEAD, parts=parts
    )


def _shown(data: ReportData, block: str, groups: Mapping[str, SampleGroup]) -> list[str]:
    """Return the methods that are drawn."""
    lines = data.methods(block, MOST_CURVES)
    return [line.method for line in lines if line.method in groups and not line.reference]


def _left_out(data: ReportData, block: str, shown: list[str]) -> str:
    count = sum(not line.reference for line in data.methods(block)) - len(shown)
    return f" {count} methods are left out." if count > 0 else ""


def _roc(
    data: ReportData, block: str, number: int, groups: Mapping[str, SampleGroup]
) -> Picture | None:
    shown = _shown(data, block, groups)
    curves = [c for name in shown if (c := _curve(data, groups[name], "unlearned", name))]
    if not groups:
        return None
    most = _fullest(groups)
    curves += [c for role in ("original", "gold") if (c := _curve(data, most, role, role))]
    if not curves:
        return None
    non_members = max(most.non_members, 1)
    caption = (
        f"{most.members} forget samples against {most.non_members} {most.part} samples of the "
        f"same classes, mean of {most.trials} trials. Dotted: chance. Grey: rates below "
        f"1/{non_members}, which so few samples cannot resolve.{_left_out(data, block, shown)}"
    )
    title = "Loss attack at low false-positive rates"
    return roc_picture(slug("roc", str(number)), title, caption, FPR, curves, non_members)


def _curve(data: ReportData, group: SampleGroup, role: str, name: str) -> Curve | None:
    tpr = group.roc(role)
    if tpr is None:
        return None
    # between two rates as the picture draws it, on logarithmic axes
    at = float(np.interp(math.log(0.01), np.log(FPR), tpr))
    tip = f"{name}\nfinds {format_number(at)} of the forget set at 1 % false positives"
    return Curve(name=name, look=data.looks[name], tpr=tpr, tip=tip)


def _losses(
    data: ReportData, block: str, number: int, groups: Mapping[str, SampleGroup]
) -> Picture | None:
    if not groups:
        return None
    most, shown = _fullest(groups), _shown(data, block, groups)
    models = [_histogram(data, most, role, role) for role in ("original", "gold")]
    methods = [_histogram(data, groups[name], "unlearned", name) for name in shown]
    panels = [panel for panel in (*models, *methods) if panel is not None]
    if not panels:
        return None
    # bins that no panel needs are cut off on both sides
    used = np.flatnonzero(np.sum([p.forget + p.heldout for p in panels], axis=0))
    first, last = int(used[0]), int(used[-1]) + 1
    caption = (
        f"Filled: the forget set; line: {most.part} samples of the same classes; dashed: the "
        "forget set under the retrained model. All trials together; every panel has its own "
        f"height, and losses below 10⁻⁶ are in its first bin.{_left_out(data, block, shown)}"
    )
    cut = [
        Histogram(
            title=panel.title,
            forget=panel.forget[first:last],
            heldout=panel.heldout[first:last],
            gold=None if panel.gold is None else panel.gold[first:last],
            color=panel.color,
        )
        for panel in panels
    ]
    edges = EDGES[first : last + 1]
    return losses_picture(slug("losses", str(number)), "Losses", caption, edges, cut, most.part)


def _histogram(data: ReportData, group: SampleGroup, role: str, name: str) -> Histogram | None:
    forget, heldout = (group.shares(role, side) for side in ("forget", "heldout"))
    if forget is None or heldout is None:
        return None
    gold = group.shares("gold", "forget") if role != "gold" else None
    color = data.looks[name].color
    return Histogram(title=name, forget=forget, heldout=heldout, gold=gold, color=color)


def _fullest(groups: Mapping[str, SampleGroup]) -> SampleGroup:
    """Return the method with most trials: its original and gold models are those of the seeds."""
    return max(groups.values(), key=lambda group: group.trials)
