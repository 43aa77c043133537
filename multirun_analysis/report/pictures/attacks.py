"""What an attacker sees: losses of forgotten and of unseen samples, and what they give away."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from multirun_analysis.report.pictures.drawing import (
    WIDTH,
    Picture,
    Settings,
    axes_within,
    grid,
    legend_below,
    legend_rows,
    new_figure,
    plain_numbers,
    shorten,
)
from multirun_analysis.report.pictures.looks import INK, MODELS, MUTED, Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

LOWEST = 5e-5
"""Smallest rate that is drawn; few held-out sets resolve a smaller one."""

LEGEND_ROW = 0.185
PANEL = 1.28
"""Inches of height of a histogram."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """The ROC of an attack on one method.

    Args:
        name: The method, or the model.
        look: How it is drawn.
        tpr: True-positive rates ``(n,)`` on the grid of the figure.
        tip: What it says when it is pointed at.
    """

    name: str
    look: Look
    tpr: Floats
    tip: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Histogram:
    """Losses of one model or method, as shares of the samples per bin.

    Args:
        title: The method, or the model.
        forget: Shares of the forget set ``(n,)``.
        heldout: Shares of the samples never trained on ``(n,)``.
        gold: Shares of the forget set under the gold models, None without.
        color: Of the method.
    """

    title: str
    forget: Floats
    heldout: Floats
    gold: Floats | None
    color: str


def roc_picture(
    name: str,
    title: str,
    caption: str,
    fpr: Floats,
    curves: Sequence[Curve],
    non_members: int,
) -> Picture:
    """Return ROC curves on logarithmic axes.

    Args:
        name: Of its files.
        title: What it shows.
        caption: How to read it.
        fpr: False-positive rates ``(n,)``, ascending.
        curves: One per method and model.
        non_members: Samples that can be false positives; one of them is the smallest rate.
    """
    tips = {f"tip-{i}": curve.tip for i, curve in enumerate(curves)}
    draw = partial(_draw_roc, fpr, curves, non_members)
    return Picture(name=name, title=title, caption=caption, draw=draw, tips=tips)


def losses_picture(
    name: str, title: str, caption: str, edges: Floats, shown: Sequence[Histogram], part: str
) -> Picture:
    """Return losses of forget and held-out samples, a panel per method, on the same axes.

    Args:
        name: Of its files.
        title: What it shows.
        caption: How to read it.
        edges: Edges of the bins ``(n + 1,)``.
        shown: The panels.
        part: Name of the held-out part.
    """
    draw = partial(_draw_losses, edges, shown, part)
    return Picture(name=name, title=title, caption=caption, draw=draw)


def _draw_roc(fpr: Floats, curves: Sequence[Curve], non_members: int) -> "Figure":
    rows = legend_rows([curve.name for curve in curves])
    below = LEGEND_ROW * rows + 0.1
    figure = new_figure(WIDTH, 3.7 + below)
    axes = axes_within(figure, left=0.66, bottom=0.5 + below, top=0.12)
    grid(axes)
    finest = 1 / max(non_members, 1)
    # half the smallest rate that so many samples resolve, and never above 0.5 %
    low = max(LOWEST, min(finest, 0.01) / 2)
    axes.plot([low, 1], [low, 1], color=MUTED, linewidth=0.9, linestyle=":")
    for i, curve in enumerate(curves):
        line: Settings = {
            "color": curve.look.color,
            "linestyle": curve.look.line,
            "linewidth": 1.7,
        }
        # a logarithmic axis has no 0: such rates run along its bottom
        heights = np.maximum(curve.tpr, low)
        axes.plot(fpr, heights, drawstyle="steps-post", gid=f"tip-{i}", **line)
    axes.set(xscale="log", yscale="log", xlim=(low, 1.0), ylim=(low, 1.08))
    axes.set_xlabel("false-positive rate")
    axes.set_ylabel("true-positive rate: forget samples found")
    plain_numbers(axes)
    axes.axvspan(low, min(finest, 1.0), color=MUTED, alpha=0.13, linewidth=0)
    axes.axvline(0.01, color=INK, linewidth=0.7)
    axes.text(0.0095, 0.93, "1 %", fontsize=7.5, ha="right", va="top")
    legend_below(figure, [(c.name, c.look) for c in curves], rows=rows, filled=False)
    return figure


def _draw_losses(edges: Floats, shown: Sequence[Histogram], part: str) -> "Figure":
    # two panels a row, rounded up
    rows = -(-len(shown) // 2)
    below = 0.72
    height = below + PANEL * rows + 0.05
    figure = new_figure(WIDTH, height)
    for number, panel in enumerate(shown):
        row, column = divmod(number, 2)
        # left, bottom, width and height as shares of the figure; rows go down from the top
        box = (0.04 + 0.49 * column, (height - PANEL * (row + 1)) / height, 0.43, 1.02 / height)
        axes = figure.add_axes(box)
        axes.set(xscale="log", xlim=(edges[0], edges[-1]), yticks=[])
        axes.spines[["top", "right", "left"]].set_visible(False)
        _draw_panel(axes, edges, panel)
        plain_numbers(axes, "x", most=4)
        last = number + 2 >= len(shown)
        axes.tick_params(labelbottom=last)
        if last:
            axes.set_xlabel("loss")
    handles = _loss_legend(part, gold=any(panel.gold is not None for panel in shown))
    figure.legend(handles=handles, loc="lower center", ncols=3, borderaxespad=0.2)
    return figure


def _draw_panel(axes: "Axes", edges: Floats, panel: Histogram) -> None:
    axes.stairs(panel.forget, edges, fill=True, color=panel.color, alpha=0.45)
    axes.stairs(panel.heldout, edges, color=INK, linewidth=1.1)
    if panel.gold is not None:
        axes.stairs(panel.gold, edges, color=MODELS["gold"], linewidth=1.2, linestyle="--")
    # room above the highest bin for the title inside the panel
    axes.set_ylim(0, 1.25 * float(max(panel.forget.max(), panel.heldout.max())))
    axes.text(0.0, 1.0, shorten(panel.title, 30), transform=axes.transAxes, va="top", fontsize=8)


def _loss_legend(part: str, *, gold: bool) -> list["object"]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[object] = [
        Patch(color=MUTED, alpha=0.45, label="forget set"),
        Line2D([], [], color=INK, linewidth=1.1, label=f"{part} set"),
    ]
    line: Settings = {"color": MODELS["gold"], "linewidth": 1.2, "linestyle": "--"}
    return [*handles, *([Line2D([], [], label="forget set, gold", **line)] if gold else [])]
