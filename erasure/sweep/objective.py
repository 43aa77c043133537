"""What a sweep optimizes: named metrics with a direction each."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from erasure.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Read the objective values out of a trial's metrics.

    Args:
        metrics: Metric name to ``minimize`` or ``maximize``, in order.
    """

    metrics: Mapping[str, Literal["minimize", "maximize"]]

    def __post_init__(self) -> None:
        if not self.metrics:
            raise ConfigError("metrics must name at least one metric")
        for name, direction in self.metrics.items():
            if direction not in ("minimize", "maximize"):
                raise ConfigError(
                    f"metrics[{name}] must be minimize or maximize, got {direction!r}"
                )

    def values(self, measured: Mapping[str, float]) -> tuple[float, ...]:
        """Return one value per metric, NaN where it was not measured."""
        return tuple(measured.get(name, math.nan) for name in self.metrics)
