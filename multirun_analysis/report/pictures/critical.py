"""The critical-difference diagram: average ranks, and who cannot be told from whom."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from multirun_analysis.report.pictures.drawing import Picture, Settings, new_figure, shorten
from multirun_analysis.report.pictures.looks import INK, MUTED, Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 6.2
"""Inches: names stand on both sides."""

LINE = 0.24


def critical_picture(
    name: str,
    title: str,
    caption: str,
    ranks: Mapping[str, float],
    cliques: Sequence[Sequence[str]],
    difference: float,
    looks: Mapping[str, Look],
) -> Picture:
    """Return the diagram of J. Demšar, JMLR 2006, best methods on the left.

    Args:
        name: Of its files.
        title: What it shows.
        caption: How to read it.
        ranks: Average rank by method, ascending.
        cliques: Groups of methods that cannot be told apart, joined by a bar.
        difference: The critical difference.
        looks: How the methods are drawn.
    """
    draw = partial(_draw, dict(ranks), cliques, difference, looks)
    tips = {f"tip-{i}": f"{m}: average rank {r:.2f}" for i, (m, r) in enumerate(ranks.items())}
    return Picture(name=name, title=title, caption=caption, draw=draw, tips=tips)


def _draw(
    ranks: Mapping[str, float],
    cliques: Sequence[Sequence[str]],
    difference: float,
    looks: Mapping[str, Look],
) -> "Figure":
    count = len(ranks)
    # rounded up: of an odd number one more stands on the left
    half = -(-count // 2)
    bars = 0.16 * len(cliques)
    figure = new_figure(WIDTH, 0.95 + bars + LINE * half)
    height = float(figure.get_figheight())
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, WIDTH), ylim=(height, 0))  # in inches, from the top left corner
    axes.set_axis_off()
    left, right, top = 1.95, WIDTH - 1.95, 0.68

    def x(rank: float) -> float:
        return left + (rank - 1) / max(count - 1, 1) * (right - left)

    _draw_axis(axes, x(1), x(count), top, [(x(k), str(k)) for k in range(1, count + 1)])
    # a critical difference longer than the axis is in the caption alone
    if difference <= count - 1:
        axes.plot([x(1), x(1 + difference)], [0.22, 0.22], color=INK, linewidth=1.6)
        axes.text(x(1), 0.15, f"critical difference {difference:.2f}", va="bottom", size=8)
    for row, group in enumerate(cliques):
        ends = [x(ranks[method]) for method in (group[0], group[-1])]
        y = top + 0.14 + 0.16 * row
        bar: Settings = {"color": INK, "linewidth": 3.4, "solid_capstyle": "round", "alpha": 0.75}
        axes.plot([ends[0] - 0.04, ends[1] + 0.04], [y, y], **bar)
    for i, (method, rank) in enumerate(ranks.items()):
        on_left = i < half
        # the better half on the left, top down; the other on the right, bottom up
        y = top + 0.2 + bars + LINE * ((i if on_left else count - 1 - i) + 0.5)
        end = left - 0.25 if on_left else right + 0.25
        color = looks[method].color
        axes.plot([x(rank), x(rank), end], [top, y, y], color=color, linewidth=1.2, gid=f"tip-{i}")
        _draw_name(axes, shorten(method, 20), f"{rank:.2f}", (end, y), on_left=on_left)
    return figure


def _draw_name(
    axes: "Axes", name: str, rank: str, end: tuple[float, float], *, on_left: bool
) -> None:
    text = f"{name}  {rank}" if on_left else f"{rank}  {name}"
    x = end[0] + (-0.06 if on_left else 0.06)
    axes.text(x, end[1], text, ha="right" if on_left else "left", va="center", size=8)


def _draw_axis(
    axes: "Axes", left: float, right: float, y: float, ticks: Sequence[tuple[float, str]]
) -> None:
    axes.plot([left, right], [y, y], color=MUTED, linewidth=1.1)
    for x, label in ticks:
        axes.plot([x, x], [y - 0.06, y], color=MUTED, linewidth=0.9)
        if len(ticks) <= 16 or int(label) % 5 in (0, 1):
            axes.text(x, y - 0.09, label, ha="center", va="bottom", size=8)
