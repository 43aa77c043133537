"""Two objectives against each other: which methods no other beats in both."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

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
)
from multirun_analysis.report.pictures.looks import GRID, INK, Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 3.3
LEGEND_ROW = 0.185


@dataclass(frozen=True, kw_only=True)
class Point:
    """A method in the plane; less is better on both axes.

    Args:
        method: Its name.
        look: How it is drawn.
        x: First objective: mean, lower and upper end, the ends NaN without an interval.
        y: Second objective.
        on_front: Whether no other method is as good in both and better in one.
        reference: Whether it is a yardstick, which has no place on the front.
        tip: What it says when it is pointed at.
    """

    method: str
    look: Look
    x: tuple[float, float, float]
    y: tuple[float, float, float]
    on_front: bool
    reference: bool
    tip: str


@dataclass(frozen=True, kw_only=True)
class Plane:
    """The axes of a front.

    Args:
        x: What the first axis shows.
        y: What the second axis shows.
        points: The methods.
        log_x: Whether the first axis is logarithmic.
        limit_x: A value of the first axis that is marked, NaN for none.
    """

    x: str
    y: str
    points: Sequence[Point]
    log_x: bool = False
    limit_x: float = math.nan


def front_picture(name: str, title: str, caption: str, plane: Plane) -> Picture:
    """Return the plane with its front as a staircase."""
    tips = {f"tip-{i}": point.tip for i, point in enumerate(plane.points)}
    return Picture(name=name, title=title, caption=caption, draw=partial(_draw, plane), tips=tips)


def _draw(plane: Plane) -> "Figure":
    names = [point.method for point in plane.points]
    rows = legend_rows(names)
    below = LEGEND_ROW * rows + 0.1
    figure = new_figure(WIDTH, HEIGHT + below)
    axes = axes_within(figure, left=0.62, bottom=0.5 + below, top=0.1)
    grid(axes)
    if plane.log_x:
        axes.set_xscale("log")
    for i, point in enumerate(plane.points):
        _draw_point(axes, i, point)
    xs, ys = ([getattr(point, name) for point in plane.points] for name in "xy")
    axes.set_xlim(_limits(xs, log=plane.log_x, marked=plane.limit_x))
    axes.set_ylim(_limits(ys, log=False))
    if not math.isnan(plane.limit_x):
        axes.axvline(plane.limit_x, color=INK, linewidth=0.8, linestyle=":")
    _draw_front(axes, plane.points)
    axes.set_xlabel(plane.x)
    axes.set_ylabel(plane.y)
    plain_numbers(axes)
    _say_which_corner(axes)
    legend_below(figure, [(p.method, p.look) for p in plane.points], rows=rows, filled=True)
    return figure


def _draw_point(axes: "Axes", number: int, point: Point) -> None:
    (x, *x_ends), (y, *y_ends) = point.x, point.y
    whisker: Settings = {"color": point.look.color, "linewidth": 1.0, "alpha": 0.55}
    if not math.isnan(x_ends[0]):
        # an interval may reach below 0, where a logarithmic axis has no point
        left = max(x_ends[0], x / 1e3) if axes.get_xscale() == "log" else x_ends[0]
        axes.plot([left, x_ends[1]], [y, y], **whisker)
    if not math.isnan(y_ends[0]):
        axes.plot([x, x], y_ends, **whisker)
    face = point.look.color if point.on_front else "white"
    style: Settings = {"marker": point.look.marker, "markersize": 5.5 if point.reference else 7.5}
    edge: Settings = {
        "markerfacecolor": face,
        "markeredgecolor": point.look.color,
        "markeredgewidth": 1.4,
    }
    axes.plot([x], [y], gid=f"tip-{number}", linestyle="", zorder=3, **style, **edge)


def _limits(
    values: Sequence[tuple[float, float, float]], *, log: bool, marked: float = math.nan
) -> tuple[float, float]:
    """Return the ends of an axis: all means and what of the intervals does not squeeze them."""
    means = [mean for mean, _, _ in values] + ([] if math.isnan(marked) else [marked])
    highs = [high for _, _, high in values if not math.isnan(high)]
    # an axis of zeros alone needs a length, too
    top = max(means, default=1.0) or 1.0
    reach = min(max([top, *highs]), 1.5 * top)
    if log:
        return 0.4 * min(means), 2.0 * top
    return -0.06 * reach, 1.06 * reach


def _draw_front(axes: "Axes", points: Sequence[Point]) -> None:
    """Draw the region that no method reaches, which ends at the front."""
    chosen = sorted((p.x[0], p.y[0]) for p in points if p.on_front)
    corners: list[tuple[float, float]] = []
    for x, y in chosen:
        # of points with equal x the lowest comes first, the others are above the front
        if not corners or y < corners[-1][1]:
            corners.append((x, y))
    if not corners:
        return
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    # every corner twice: down to its height, then across to the next one
    xs = [*(x for x, _ in corners for _ in range(2)), right]
    ys = [top, *(y for _, y in corners for _ in range(2))]
    axes.plot(xs, ys, color=INK, linewidth=0.9, alpha=0.6, zorder=1)
    axes.fill([*xs, right], [*ys, top], color=GRID, alpha=0.45, linewidth=0, zorder=0)
    # set again, as drawing up to the edges has widened them
    axes.set(xlim=(left, right), ylim=(bottom, top))


def _say_which_corner(axes: "Axes") -> None:
    axes.annotate(
        "better",
        xy=(0.015, 0.02),
        xytext=(0.1, 0.105),
        xycoords="axes fraction",
        textcoords="axes fraction",
        fontsize=7.5,
        color=INK,
        arrowprops={"arrowstyle": "->", "color": INK, "linewidth": 0.8},
    )
