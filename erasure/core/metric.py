"""What a metric is: values by name, each declared once with its meaning and its computation."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from erasure.core.context import EvalContext
from erasure.core.values import Direction, Meaning, MetricValue

Compute = Callable[[EvalContext], MetricValue | float]
"""Measures the subject of a context; raises ``NotComputableError`` where it is not defined."""


@dataclass(frozen=True)
class Value:
    """One number that a metric measures.

    Args:
        meaning: What the number says.
        compute: Measures it; a number that is NaN counts as ``degenerate``.
    """

    meaning: Meaning
    compute: Compute


@dataclass(frozen=True)
class Values:
    """Numbers that come out of one computation.

    Args:
        meanings: What each says, by name.
        compute: Measures all of them, and returns exactly the names of ``meanings``. If it raises
            ``NotComputableError`` none of them has a value. Where one of them may fail without
            the others, it returns ``measure_value(...)`` for that one.
    """

    meanings: Mapping[str, Meaning]
    compute: Callable[[EvalContext], Mapping[str, MetricValue | float]]


@dataclass(frozen=True)
class Parts:
    """Names of the parts of the data that an evaluation may look at.

    Iterating gives ``forget``, ``retain`` and the held-out part.

    Args:
        heldout: The held-out part, which is part of many names.
    """

    heldout: Literal["test", "val"]

    def __iter__(self) -> Iterator[str]:
        return iter(("forget", "retain", self.heldout))

    @property
    def population(self) -> tuple[str, str]:
        """The held-out samples of the forgotten population, and all others."""
        return (f"{self.heldout}_forget", f"{self.heldout}_retain")


class Metric(Protocol):
    """A measurement of the subject model of an evaluation context.

    What it needs, or is about, it says by attributes of the class, all of them optional:

    - ``needs_features = True`` if it reads ``ctx.features``;
    - ``needs_roles``, the roles of reference models that it cannot do without;
    - ``runs_models = True`` if cached logits are not enough, because it trains copies or needs
      gradients;
    - ``subjects``, the roles that it has something to say about, if that is not all of them:
      ``subjects: ClassVar[tuple[Who, ...]] = ("unlearned",)``. For others it is not called, and
      its names are absent.
    """

    def values(self, parts: Parts) -> Mapping[str, Value] | Values:
        """Declare every number by name, with its meaning and how it is computed."""


def share(direction: Direction, description: str, ideal: float | None = None) -> Meaning:
    """Return the meaning of a number from 0 to 1."""
    return Meaning(direction=direction, low=0.0, high=1.0, description=description, ideal=ideal)


def amount(
    direction: Direction,
    description: str,
    *,
    unit: str = "",
    high: float = math.inf,
    ideal: float | None = None,
) -> Meaning:
    """Return the meaning of a number from 0 to ``high``."""
    return Meaning(
        direction=direction, low=0.0, high=high, description=description, ideal=ideal, unit=unit
    )


def distance(description: str, *, unit: str = "", high: float = math.inf) -> Meaning:
    """Return the meaning of a distance: 0 is ideal, and less is better."""
    return amount("min", description, unit=unit, high=high, ideal=0.0)


def gold_if_forget(part: str, otherwise: Direction) -> Direction:
    """Return the direction of a number on a part: on the forget set the gold model's is aimed at.

    Elsewhere the number has a direction of its own. ``part`` may be the held-out side of the
    forgotten population as well, such as ``test_forget``.
    """
    return "closer_to_gold" if part.endswith("forget") else otherwise
