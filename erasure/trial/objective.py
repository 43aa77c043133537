"""What a sweep optimizes: named metrics with a direction each, and bounds to keep."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from erasure.core.errors import ConfigError

Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Read the objective values out of a trial's metrics.

    Args:
        metrics: Metric name to ``minimize`` or ``maximize``, in order.
        constraints: Metric name to its largest allowed value. A setting that breaks one is
            measured like any other, but never chosen.
    """

    metrics: Mapping[str, Direction]
    constraints: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.metrics:
            raise ConfigError("metrics must name at least one metric")
        for name, direction in self.metrics.items():
            if direction not in ("minimize", "maximize"):
                raise ConfigError(
                    f"metrics[{name}] must be minimize or maximize, got {direction!r}"
                )
        for name, bound in self.constraints.items():
            number = isinstance(bound, int | float) and not isinstance(bound, bool)
            if not number or not math.isfinite(bound):
                raise ConfigError(f"constraints[{name}] must be a number, got {bound!r}")

    @property
    def directions(self) -> list[Direction]:
        """Which way is better, metric by metric."""
        return list(self.metrics.values())

    @property
    def names(self) -> list[str]:
        """Every metric that has to be measured."""
        return list(dict.fromkeys([*self.metrics, *self.constraints]))

    def values(self, measured: Mapping[str, float]) -> tuple[float, ...]:
        """Return one value per metric, NaN where it was not measured."""
        return tuple(measured.get(name, math.nan) for name in self.metrics)

    def violations(self, measured: Mapping[str, float]) -> dict[str, float]:
        """Return by how much each bound is exceeded, at most 0 where it is kept."""
        return {
            name: measured.get(name, math.nan) - bound for name, bound in self.constraints.items()
        }

    def costs(self, values: Sequence[float]) -> tuple[float, ...]:
        """Return values of :attr:`metrics` turned so that smaller is better."""
        pairs = zip(values, self.directions, strict=True)
        return tuple(-value if turned == "maximize" else value for value, turned in pairs)
