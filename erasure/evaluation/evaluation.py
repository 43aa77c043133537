"""Everything measured in one evaluation, by role and name, and as plain data."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from erasure.core.context import Who
from erasure.core.values import Meaning, MetricValue


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Everything measured in one evaluation.

    Args:
        results: Measured values by role and name.
        meanings: The meaning of each name.
        errors: One line per metric and role that failed unexpectedly.
        tracebacks: The same errors in full.
    """

    results: Mapping[Who, Mapping[str, MetricValue]]
    meanings: Mapping[str, Meaning]
    errors: tuple[str, ...] = ()
    tracebacks: tuple[str, ...] = ()

    def flat(self) -> dict[str, float]:
        """Return the finite values by tracking name.

        Values of the unlearned model go by their own name, ``forget/accuracy``, those of others
        under their role, ``gold/forget/accuracy``.
        """
        named = self._named().items()
        return {name: value.value for name, (_, value) in named if math.isfinite(value.value)}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data on every tracking name, computable or not.

        NaN and infinity, which JSON lacks, become null: a value that could not be computed, an
        open end of a range, an interval that is not known.
        """
        named = self._named().items()
        return {name: _entry(self.meanings[key], value) for name, (key, value) in named}

    def _named(self) -> dict[str, tuple[str, MetricValue]]:
        """Return by tracking name the name in :attr:`meanings` and the value."""
        return {
            key if who == "unlearned" else f"{who}/{key}": (key, value)
            for who, values in self.results.items()
            for key, value in values.items()
        }


def _entry(meaning: Meaning, value: MetricValue) -> dict[str, Any]:
    entry = {
        "value": value.value,
        "status": value.status,
        "reason": value.reason,
        "direction": meaning.direction,
        "range": [meaning.low, meaning.high],
        "ideal": meaning.ideal if value.ideal is None else value.ideal,
        "unit": meaning.unit,
        "ci": None if math.isnan(value.ci_low) else [value.ci_low, value.ci_high],
        "n": value.n,
        "extras": value.extras,
        "description": meaning.description,
        **({"counts": value.counts} if value.counts else {}),
    }
    return {key: _plain(item) for key, item in entry.items()}


def _plain(item: Any) -> Any:
    if isinstance(item, Mapping):
        return {str(key): _plain(inner) for key, inner in item.items()}
    if isinstance(item, (list, tuple)):
        return [_plain(inner) for inner in item]
    if isinstance(item, float) and not math.isfinite(item):
        return None
    return item
