"""From a figure to its files, and to the drawing that a page holds."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from multirun_analysis.report.pictures.looks import GRID, INK, MUTED, Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 4.8
"""Inches: text of 8 points stays legible when a phone scales it down."""

LEGIBLE = 0.75
"""How far a screen may scale a figure down; a wider one scrolls."""

DPI = 160
Settings: TypeAlias = dict[str, Any]
"""Settings of an artist by keyword."""

STYLE: dict[Any, Any] = {
    "font.size": 8.5,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.labelsize": 8.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.fonttype": "none",
}
"""Text stays text: it can be searched, and takes the font of the page."""

# what stands before <svg at the beginning, and the metadata wherever they are
OUTSIDE = re.compile(r"^.*?(?=<svg )|<metadata>.*?</metadata>\s*", re.DOTALL)
SIZE = re.compile(r'(<svg [^>]*?)width="([\d.]+)pt" height="[\d.]+pt"')
# names where they are given, and in both ways to refer to them
NAMES = re.compile(r'\bid="([^"]+)"|href="#([^"]+)"|url\(#([^)]+)\)')
FONT = re.compile(r"font-family: [^;\"]+;? ?")
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
TIPS = re.compile(r'<g id="(tip-[^"]+)">')


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A picture as a page holds it.

    Args:
        name: Name of its files, without ending.
        title: What it shows.
        caption: How to read it.
        svg: The drawing as markup.
    """

    name: str
    title: str
    caption: str
    svg: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A picture that is not drawn yet.

    Args:
        name: Name of its files, without ending; unique within a report.
        title: What it shows.
        caption: How to read it.
        draw: Returns the figure; called within the style of the report.
        tips: Texts by the ``gid`` of the parts they explain, which begins with ``tip-``.
    """

    name: str
    title: str
    caption: str
    draw: "Callable[[], Figure]"
    tips: Mapping[str, str] = field(default_factory=dict)


def save(picture: Picture, folder: Path) -> Drawing:
    """Draw a picture, write it as ``.svg`` and ``.png``, and return it for a page."""
    import matplotlib as mpl

    folder.mkdir(parents=True, exist_ok=True)
    # salted ids and no date: the same numbers give the same file, byte by byte
    with mpl.rc_context({**STYLE, "svg.hashsalt": picture.name}):
        figure = picture.draw()
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
        figure.savefig(folder / f"{picture.name}.png", dpi=DPI, metadata={"Software": None})
    (folder / f"{picture.name}.svg").write_text(text.getvalue(), encoding="utf-8")
    markup = _inline(text.getvalue(), picture)
    return Drawing(name=picture.name, title=picture.title, caption=picture.caption, svg=markup)


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure; sizes in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), facecolor="white")


def axes_within(
    figure: "Figure", *, left: float, bottom: float, right: float = 0.15, top: float = 0.32
) -> "Axes":
    """Return axes with these margins in inches.

    Margins are said rather than found: a layout engine draws every figure twice.
    """
    width, height = figure.get_size_inches()
    box = (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
    axes = figure.add_axes(box)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def grid(axes: "Axes", axis: Literal["both", "x", "y"] = "both") -> None:
    """Draw faint lines behind the data."""
    axes.grid(axis=axis, color=GRID, linewidth=0.6)


def plain_numbers(axes: "Axes", axis: str = "both", *, most: int = 6) -> None:
    """Write numbers as numbers, few of them, and leave out minor ticks of logarithmic axes."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    for side in (axes.xaxis, axes.yaxis) if axis == "both" else (getattr(axes, f"{axis}axis"),):
        log = side.get_scale() == "log"
        side.set_major_locator(LogLocator(numticks=most) if log else MaxNLocator(most - 1))
        side.set_minor_locator(NullLocator())
        side.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))


def tick(value: float) -> str:
    """Return a number for an axis: small and large ones as powers of ten."""
    if value == 0 or 0.001 <= abs(value) < 1e5:
        return f"{value:g}"
    digits, _, exponent = f"{value:.0e}".partition("e")
    # int drops the leading 0 and the + of "e+05"
    power = f"10{str(int(exponent)).translate(RAISED)}"
    return power if digits == "1" else f"{digits}·{power}"


def legend_below(
    figure: "Figure", entries: Sequence[tuple[str, Look]], *, rows: int, filled: bool
) -> None:
    """Name looks below the axes, as markers or as lines, in the rows there is room for."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            color=look.color,
            linestyle="" if filled else look.line,
            marker=look.marker if filled else "",
            markersize=5,
            linewidth=1.8,
            label=shorten(name, 24),
        )
        for name, look in entries
    ]
    # rounded up
    columns = -(-len(handles) // max(rows, 1))
    figure.legend(
        handles=handles,
        loc="lower center",
        ncols=max(columns, 1),
        columnspacing=1.2,
        handletextpad=0.5,
        handlelength=1.6 if not filled else 1.0,
        borderaxespad=0.3,
    )


def legend_rows(entries: Sequence[str]) -> int:
    """Return how many rows a legend of these texts takes in the width of a figure."""
    longest = max((len(shorten(text, 24)) for text in entries), default=0)
    # inches of a letter, and of the mark with its gaps
    columns = max(1, int(WIDTH / (0.075 * longest + 0.35)))
    return -(-len(entries) // columns)


def shorten(text: str, most: int) -> str:
    """Return a text of at most this many characters, cut in the middle."""
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"


def _inline(svg: str, picture: Picture) -> str:
    """Return the markup for a page: no header, sized by the page, names unique, tips inside."""
    svg = OUTSIDE.sub("", svg)  # inside a page neither header nor metadata is allowed
    label = f'role="img" aria-label="{escape(picture.title)}"'
    svg = SIZE.sub(lambda match: f"{match[1]}{_size(float(match[2]))} {label}", svg, count=1)
    svg = FONT.sub("", svg)
    svg = TIPS.sub(lambda match: _with_tip(match, picture.tips), svg)
    # ids are global in a page: two figures have the same ones unless they are renamed
    return NAMES.sub(lambda match: _renamed(match, picture.name), svg).strip()


def _size(points: float) -> str:
    """Return a width that shrinks with the screen as long as the text can be read."""
    return f'style="max-width: {points:g}pt; min-width: {LEGIBLE * points:g}pt"'


def _with_tip(match: re.Match[str], tips: Mapping[str, str]) -> str:
    text = escape(tips.get(match[1], ""))
    return f'<g id="{match[1]}" class="tip" tabindex="0"><title>{text}</title>'


def _renamed(match: re.Match[str], name: str) -> str:
    old = next(filter(None, match.groups()))
    return match[0].replace(old, f"{name}-{old}")
