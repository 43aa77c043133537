"""One color and one marker per method, the same in every figure and table of a report.

Colors of Okabe and Ito, "Color Universal Design" (2008), for the methods that MLflow's pages show
in them as well, and of Paul Tol, "Colour Schemes" (2021, muted), for others: people with color
blindness can tell them apart, and the markers say it again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from erasure.schema import METHOD_COLORS, NEUTRAL_COLOR, OTHER_COLORS, color_index

MODELS = {"gold": METHOD_COLORS["retrain"], "original": NEUTRAL_COLOR}
INK, MUTED, GRID = "#1f2933", NEUTRAL_COLOR, "#d9dee4"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a method is drawn.

    Args:
        color: As ``#RRGGBB``.
        marker: As matplotlib names it.
        line: Style of its lines.
    """

    color: str
    marker: str = "o"
    line: Literal["-", "--"] = "-"


def looks_of(unlearners: Mapping[str, str]) -> dict[str, Look]:
    """Return the look of every method, and of the original and the gold model.

    A color belongs to an unlearner by its name alone, unless another one of the report has it:
    then the later in the alphabet takes the next that is free. Variants of an unlearner share
    its color. Markers differ from one method to the next, for prints without color.

    Args:
        unlearners: Name of the unlearner by method.
    """
    colors = _colors(sorted(set(unlearners.values())))
    looks = {name: Look(color=color, line="--") for name, color in MODELS.items()}
    for number, method in enumerate(sorted(unlearners)):
        marker = MARKERS[number % len(MARKERS)]
        looks[method] = Look(color=colors[unlearners[method]], marker=marker)
    return looks


def _colors(unlearners: Sequence[str]) -> dict[str, str]:
    colors = {name: METHOD_COLORS[name] for name in unlearners if name in METHOD_COLORS}
    for name in (name for name in unlearners if name not in METHOD_COLORS):
        # the color that MLflow's pages give it, or the next in a circle that nobody here has
        first = color_index(name)
        circle = (*OTHER_COLORS[first:], *OTHER_COLORS[:first])
        free = (color for color in circle if color not in colors.values())
        colors[name] = next(free, circle[0])  # more methods than colors: the markers differ
    return colors
