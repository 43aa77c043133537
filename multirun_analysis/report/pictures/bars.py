"""A metric of all methods: how far each is from gold, and how sure that is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from multirun_analysis.report.pictures.drawing import (
    WIDTH,
    Picture,
    Settings,
    axes_within,
    grid,
    new_figure,
    plain_numbers,
    shorten,
)
from multirun_analysis.report.pictures.looks import INK, MODELS, MUTED, Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABEL = 27
"""Characters of a method's name beside its bar."""

ROW, LETTER = 0.235, 0.066
"""Inches of a row and of a letter."""

DECADES = 30
"""Largest over smallest value from which on the axis is logarithmic."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A method.

    Args:
        method: Its name.
        look: How it is drawn.
        mean: Its mean, NaN if it has no value.
        low: Lower end of its interval, NaN without one.
        high: Upper end.
        tip: What it says when it is pointed at.
    """

    method: str
    look: Look
    mean: float
    low: float
    high: float
    tip: str


@dataclass(frozen=True, kw_only=True)
class Bars:
    """A metric of one block.

    Args:
        label: Name of the metric, its unit and which way is better.
        bars: From top to bottom.
        gold: Mean of the gold models, where the bars begin; NaN without.
        gold_label: What that is called.
        original: Mean of the original models, NaN without.
        band: Ends of the band of retrained models, NaN without.
        limits: Smallest and largest value that the metric can have.
    """

    label: str
    bars: Sequence[Bar]
    gold: float = math.nan
    gold_label: str = "gold"
    original: float = math.nan
    band: tuple[float, float] = field(default=(math.nan, math.nan))
    limits: tuple[float, float] = field(default=(-math.inf, math.inf))


def bars_picture(name: str, title: str, caption: str, bars: Bars) -> Picture:
    """Return bars from gold to the mean of each method, with intervals."""
    tips = {f"tip-{i}": bar.tip for i, bar in enumerate(bars.bars)}
    return Picture(name=name, title=title, caption=caption, draw=partial(_draw, bars), tips=tips)


def _draw(shown: Bars) -> "Figure":
    labels = [shorten(bar.method, LABEL) for bar in shown.bars]
    named = not math.isnan(shown.gold) or not math.isnan(shown.original)
    bottom = 0.68 if named else 0.46
    figure = new_figure(WIDTH, bottom + 0.1 + ROW * max(len(labels), 1))
    left = 0.2 + LETTER * max(map(len, labels), default=0)
    axes = axes_within(figure, left=left, bottom=bottom, top=0.1)
    grid(axes, "x")
    if _is_wide(shown.bars):
        axes.set_xscale("log")
    _draw_bars(axes, shown)
    _draw_models(axes, shown)
    axes.use_sticky_edges = False  # bars would stick to the axis in spite of the margin
    axes.margins(x=0.06)
    _keep_possible(axes, shown.limits)
    axes.set_yticks([])
    # upside down: the first bar is on top
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.spines["left"].set_visible(False)
    # x as a share of the axes, y in rows
    beside: Settings = {"transform": axes.get_yaxis_transform(), "ha": "right", "va": "center"}
    for row, label in enumerate(labels):
        axes.text(-0.02, row, label, **beside)
    axes.set_xlabel(shown.label)
    plain_numbers(axes, "x")
    if named:
        handles, names = axes.get_legend_handles_labels()
        figure.legend(handles, names, loc="lower center", ncols=3, borderaxespad=0.2)
    return figure


def _draw_bars(axes: "Axes", shown: Bars) -> None:
    measured = [(row, bar) for row, bar in enumerate(shown.bars) if not math.isnan(bar.mean)]
    if measured and not math.isnan(shown.gold):
        rows, bars = zip(*measured, strict=True)
        widths = [bar.mean - shown.gold for bar in bars]
        colors = [bar.look.color for bar in bars]
        axes.barh(rows, widths, left=shown.gold, height=0.56, color=colors, alpha=0.3)
    with_interval = [(row, bar) for row, bar in measured if not math.isnan(bar.low)]
    if with_interval:
        rows, bars = zip(*with_interval, strict=True)
        ends = [bar.low for bar in bars], [bar.high for bar in bars]
        axes.hlines(rows, *ends, color=[bar.look.color for bar in bars], linewidth=1.8)
    for row, bar in measured:
        face: Settings = {"marker": bar.look.marker, "color": bar.look.color, "markersize": 5.8}
        edge: Settings = {"markeredgecolor": INK, "markeredgewidth": 0.4, "clip_on": False}
        axes.plot([bar.mean], [row], gid=f"tip-{row}", zorder=3, **face, **edge)
    beside: Settings = {"transform": axes.get_yaxis_transform(), "va": "center", "color": MUTED}
    for row, bar in enumerate(shown.bars):
        if math.isnan(bar.mean):
            axes.text(0.01, row, "no value", fontsize=7.5, **beside)


def _draw_models(axes: "Axes", shown: Bars) -> None:
    low, high = shown.band
    if high > low:
        band: Settings = {"color": MODELS["gold"], "alpha": 0.13, "linewidth": 0, "zorder": 0}
        axes.axvspan(low, high, label="retrained models", **band)
    if not math.isnan(shown.gold):
        axes.axvline(shown.gold, color=MODELS["gold"], linewidth=1.3, label=shown.gold_label)
    if not math.isnan(shown.original):
        line: Settings = {"color": MODELS["original"], "linewidth": 1.1, "linestyle": "--"}
        axes.axvline(shown.original, label="original", **line)


def _keep_possible(axes: "Axes", limits: tuple[float, float]) -> None:
    """End the axis where the metric ends; an interval may reach farther, a value cannot."""
    left, right = axes.get_xlim()
    if axes.get_xscale() == "log":
        return
    # a little beyond, so that a mark at the limit is not cut
    spare = 0.03 * (min(right, limits[1]) - max(left, limits[0]))
    axes.set_xlim(max(left, limits[0] - spare), min(right, limits[1] + spare))


def _is_wide(bars: Sequence[Bar]) -> bool:
    ends = [x for bar in bars for x in (bar.mean, bar.low, bar.high) if not math.isnan(x)]
    means = [bar.mean for bar in bars if not math.isnan(bar.mean)]
    return bool(ends) and min(means) > 0 and max(means) > DECADES * min(means)
