"""The table of a benchmark: what tuning gained, method by method, on seeds it never saw."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from rich.console import Console
from rich.text import Text

from erasure.config.command import typed_command
from erasure.sweeps.files import markdown_table, plain_table
from erasure.sweeps.summary import spread
from erasure.trial.objective import Direction, Objective

TrialMetrics: TypeAlias = Mapping[str, float]
"""The metrics of one trial; none if it has no result."""

HEADER = ("unlearner", "metric", "defaults", "tuned", "tuned - defaults", "better on")
NOTHING = "–"


@dataclass(frozen=True, kw_only=True)
class Method:
    """One method in the comparison.

    Args:
        label: Its name.
        defaults: With its own settings, by seed.
        tuned: With tuned ones, by seed; empty if there are none.
        untouched: Whether no setting that was tried is better than its own.
    """

    label: str
    defaults: Sequence[TrialMetrics]
    tuned: Sequence[TrialMetrics]
    untouched: bool

    def row(self, metric: str, direction: Direction) -> tuple[str, ...]:
        """Return the cells for a metric; differences are between trials of one seed."""
        defaults = [metrics.get(metric, math.nan) for metrics in self.defaults]
        begin = (self.label, f"{metric} ({direction})", _cell(defaults))
        if self.untouched:
            return (*begin, "the same", NOTHING, NOTHING)
        tuned = [metrics.get(metric, math.nan) for metrics in self.tuned]
        # not strict: a method without a best setting has no tuned trials
        gains = [b - a for a, b in zip(defaults, tuned, strict=False)]
        measured = [gain for gain in gains if not math.isnan(gain)]
        sign = -1 if direction == "minimize" else 1
        better = f"{sum(sign * gain > 0 for gain in measured)} of {len(measured)} seeds"
        return (*begin, _cell(tuned), _cell(gains), better if measured else NOTHING)


@dataclass(frozen=True, kw_only=True)
class BenchmarkTable:
    """Everything there is to say at the end of a benchmark.

    Args:
        methods: The methods.
        objective: What they were tuned for.
        conditions: What makes it fair, for people.
        recipes: Files of the tuned settings.
    """

    methods: Sequence[Method]
    objective: Objective
    conditions: Mapping[str, str]
    recipes: Sequence[Path]

    def rows(self) -> list[tuple[str, ...]]:
        """Return the cells of the table, without its header."""
        metrics = self.objective.metrics.items()
        return [method.row(*metric) for method in self.methods for metric in metrics]

    def markdown(self) -> str:
        """Return the table with what makes it fair, and where the recipes are."""
        text = markdown_table(HEADER, self.rows())
        text += ["", *(f"- {key}: {value}" for key, value in self.conditions.items()), ""]
        text += [f"- recipe: `{path}`" for path in self.recipes]
        return "\n".join([*text, "", "```", typed_command(), "```", ""])

    def write(self, folder: Path) -> None:
        """Write ``benchmark.md`` into ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "benchmark.md").write_text(
            f"# Tuned and defaults\n\n{self.markdown()}", encoding="utf-8"
        )

    def show(self, console: Console, folder: Path) -> None:
        """Print the table, and where it and the recipes are."""
        console.print("\ntuned and defaults on seeds that were not tuned with\n", style="italic")
        console.print(plain_table(HEADER, self.rows(), left=2))
        recipes = f"{len(self.recipes)} recipes" if len(self.recipes) != 1 else "1 recipe"
        console.print(Text(f"\n{recipes} and this table: {folder}"), soft_wrap=True)


def _cell(values: Sequence[float]) -> str:
    return str(spread(values) or NOTHING)
