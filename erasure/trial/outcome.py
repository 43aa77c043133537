"""What came of a trial, as Python code reads it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from erasure.core.errors import ConfigError
from erasure.results.record import TrialRecord, TrialResult

if TYPE_CHECKING:
    import pandas as pd

ROLES = ("original", "unlearned", "gold")


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """A trial that has run, or was read back.

    Args:
        result: What is recorded of it.
        folder: Its artifacts: tables, pictures, its configuration and its split.
        load: Returns one of the models by its role.
    """

    result: TrialResult
    folder: Path
    load: Callable[[str], nn.Module] = field(repr=False)

    def __repr__(self) -> str:
        # short: a list of these is what a notebook shows below a sweep
        return f"FinishedRun({self.trial.name!r}, {len(self.metrics)} numbers)"

    @property
    def trial(self) -> TrialRecord:
        """What identifies the trial."""
        return self.result.trial

    @property
    def metrics(self) -> Mapping[str, float]:
        """Every number that was computed; those of other models begin with ``gold/`` and so on."""
        return self.result.metrics

    @property
    def gold(self) -> dict[str, float]:
        """The numbers of the retrained model, by the names of the metrics."""
        return self._of("gold")

    @property
    def original(self) -> dict[str, float]:
        """The numbers of the model before it forgot, by the names of the metrics."""
        return self._of("original")

    @property
    def not_computed(self) -> dict[str, str]:
        """Why there is no number, by the name of the metric."""
        entries = self._measured.items()
        return {name: entry["reason"] for name, entry in entries if entry["status"] != "ok"}

    def model(self, role: str = "unlearned") -> nn.Module:
        """Return a model with its weights, in eval mode: unlearned, original or gold.

        Raises:
            ConfigError: If there is no such model.
        """
        if role not in ROLES:
            raise ConfigError(f"role must be one of {', '.join(ROLES)}, got {role!r}")
        return self.load(role).eval()

    def to_frame(self) -> "pd.DataFrame":
        """Return a table with a row per metric and, of each model, a column.

        Further columns are the interval of the unlearned model's number, the ``direction`` in
        which it is better, the ``description``, and why it was ``not_computed``.
        """
        import pandas as pd

        gold, original = self.gold, self.original
        rows = [
            {
                "metric": name,
                "unlearned": entry["value"],
                "original": original.get(name),
                "gold": gold.get(name),
                "ci_low": (entry["ci"] or [None, None])[0],
                "ci_high": (entry["ci"] or [None, None])[1],
                "direction": entry["direction"],
                "description": entry["description"],
                "not_computed": entry["reason"] if entry["status"] != "ok" else "",
            }
            for name, entry in self._measured.items()
        ]
        numbers = ["unlearned", "original", "gold", "ci_low", "ci_high"]
        frame = pd.DataFrame(rows).set_index("metric")
        return frame.astype(dict.fromkeys(numbers, float))

    @cached_property
    def _measured(self) -> Mapping[str, Mapping[str, Any]]:
        """Every value of the unlearned model with its meaning."""
        text = (self.folder / "metrics.json").read_text(encoding="utf-8")
        others = tuple(f"{role}/" for role in ROLES if role != "unlearned")
        return {n: entry for n, entry in json.loads(text).items() if not n.startswith(others)}

    def _of(self, role: str) -> dict[str, float]:
        start = f"{role}/"
        numbers = self.metrics.items()
        return {n.removeprefix(start): value for n, value in numbers if n.startswith(start)}
