"""A measured value, and what its name means."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from erasure.schema import Direction as Direction  # noqa: PLC0414 - metrics import it from here

Status = Literal["ok", "degenerate", "skipped", "error"]


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """The meaning of a metric name.

    Args:
        direction: Which way is better; ``closer_to_gold`` has no value that is best by itself
            unless ``ideal`` says one.
        low: Smallest possible value.
        high: Largest possible value.
        ideal: The value a perfect unlearner reaches, if it is the same for all data. With
            ``closer_to_gold`` it is aimed at only where the gold model has no value.
        description: One sentence for a reader of the report.
        unit: Unit of the value, empty for a pure number.
    """

    direction: Direction
    low: float
    high: float
    description: str
    ideal: float | None = None
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class MetricValue:
    """A value with its uncertainty, or the reason why there is none.

    ``value`` is NaN exactly when ``status`` is not ``ok``; there are no sentinel numbers.
    ``counts`` says how many samples there are and how many are needed, if that alone is the
    reason: then no model would have a value, whatever its weights. ``ideal`` is that of this
    value where it depends on the data, as on the number of non-members, and counts before that of
    the meaning.
    """

    value: float
    ci_low: float = math.nan
    ci_high: float = math.nan
    n: int | None = None
    ideal: float | None = None
    status: Status = "ok"
    reason: str = ""
    counts: str = ""
    extras: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.status == "ok") == math.isnan(self.value):
            raise ValueError(f"value {self.value} does not fit status {self.status!r}")


class NotComputableError(Exception):
    """A value is not defined for these inputs.

    Args:
        status: What it becomes.
        reason: Why, as one word.
        counts: How many samples there are and how many are needed, where no model was looked at
            and no model would change it. A study is refused for it before anything is trained.
    """

    def __init__(self, status: Status, reason: str, counts: str = "") -> None:
        super().__init__(f"{status}: {reason}")
        self.status: Status = status
        self.reason = reason
        self.counts = counts


def not_computed(status: Status, reason: str, counts: str = "") -> MetricValue:
    """Return the value of a metric that could not be computed."""
    return MetricValue(value=math.nan, status=status, reason=reason, counts=counts)
