"""One color per unlearning method, the same in every chart.

Colors of Okabe and Ito, "Color Universal Design" (2008), for the methods we know, and of Paul
Tol, "Colour Schemes" (2021, muted), for others: people with color blindness can tell them apart.
"""

import hashlib

SWEEP_COLOR = "#5F6B7A"

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


def color(unlearner: str) -> str:
    """Return the color of a method as ``#RRGGBB``; a function of its name alone."""
    digest = hashlib.blake2b(unlearner.encode(), digest_size=8).digest()
    return KNOWN.get(unlearner, OTHERS[int.from_bytes(digest, "big") % len(OTHERS)])
