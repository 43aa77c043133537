"""One color and one marker per method, the same in every figure and table of a report.

Colors of Okabe and Ito, "Color Universal Design" (2008), for the methods that MLflow's pages show
in them as well, and of Paul Tol, "Colour Schemes" (2021, muted), for others: people with color
blindness can tell them apart, and the markers say it again.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Literal

KNOWN = {
    "identity": "#999999",
    "retrain": "#009E73",
    "finetune": "#0072B2",
    "grad_ascent": "#D55E00",
    "neggrad_plus": "#E69F00",
    "scrub": "#CC79A7",
}
OTHERS = (
    "#332288",
    "#88CCEE",
    "#44AA99",
    "#117733",
    "#999933",
    "#DDCC77",
    "#CC6677",
    "#882255",
    "#AA4499",
)
MODELS = {"gold": "#009E73", "original": "#5F6B7A"}
"""Gold has the color of the method that retrains."""

INK, MUTED, GRID = "#1f2933", "#5F6B7A", "#d9dee4"
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


def _colors(unlearners: list[str]) -> dict[str, str]:
    found = {name: KNOWN[name] for name in unlearners if name in KNOWN}
    for name in (name for name in unlearners if name not in KNOWN):
        digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
        first = int.from_bytes(digest, "big") % len(OTHERS)
        wished = OTHERS[first]
        round_about = chain(OTHERS[first:], OTHERS[:first])
        free = (color for color in round_about if color not in found.values())
        found[name] = next(free, wished)
    return found
