"""What a grid is summed up by: mean and spread of every variant, failures, and counts."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from erasure.sweeps.files import markdown_table, num_trained
from erasure.sweeps.run_results import RunResult
from erasure.sweeps.summary import Leaderboard, SettingRow


@dataclass(frozen=True, kw_only=True)
class GridTable:
    """What a grid has to say at the end.

    Args:
        run_results: One per trial, in the order of the grid.
        board: Their means.
    """

    run_results: Sequence[RunResult]
    board: Leaderboard

    @property
    def failures(self) -> list[RunResult]:
        """The trials that ran and have no result."""
        return [run_result for run_result in self.run_results if run_result.state == "failed"]

    @property
    def missing(self) -> int:
        """Number of trials without a result, whether they failed or never ran."""
        return sum(run_result.state != "finished" for run_result in self.run_results)

    @property
    def is_over(self) -> bool:
        """Whether every trial ran."""
        return all(run_result.state != "not run" for run_result in self.run_results)

    def problem(self, stopped: str) -> str:
        """Return how many trials have no result, and why; empty if all have."""
        total = len(self.run_results)
        if stopped and not self.is_over:
            return f"{stopped}: {self.missing} of {total} trials have no result"
        return f"{self.missing} of {total} trials failed" if self.missing else ""

    def counts(self) -> str:
        """Return how many trials there are of each kind, and how many models it took."""
        before = sum(run_result.read_back for run_result in self.run_results)
        now = sum(
            run_result.state == "finished" and not run_result.read_back
            for run_result in self.run_results
        )
        waiting = sum(run_result.state == "not run" for run_result in self.run_results)
        kinds = {
            "finished": now,
            "finished before": before,
            "failed": len(self.failures),
            "not run": waiting,
        }
        counted = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
        total = len(self.run_results)
        trials = "1 trial" if total == 1 else f"{total} trials"
        return f"{trials}: {counted}; {num_trained(self.run_results)} models trained"

    def markdown(self) -> list[str]:
        """Return the table and the failures."""
        header = ["unlearner", "n", *self.board.metrics]
        lines = markdown_table(header, [self._markdown_row(row) for row in self.board.rows])
        if self.failures:
            lines += ["", "**Failed**", "", *(f"- {_failure(r)}" for r in self.failures)]
        return lines

    def _markdown_row(self, row: SettingRow) -> list[str]:
        label, *numbers = _cells(row, self.board.metrics)
        return [f"*{label}*" if row.is_yardstick else label, *numbers]

    def write(self, folder: Path) -> None:
        """Write nothing: every sweep has the files that a grid needs."""

    def is_written(self, folder: Path) -> bool:  # noqa: ARG002  # the protocol has it
        """Return that no other files are missing."""
        return True

    def show(self, console: Console) -> None:
        """Print the table, the failures and the counts."""
        if self.board.metrics:
            wide, narrow = _table(self.board, " ", 3), _table(self.board, "\n", 1)
            # a table shrinks its columns to the console, so its natural width shows in a wider one
            unlimited = console.options.update(max_width=10_000)
            fits = console.measure(wide, options=unlimited).maximum <= console.width
            console.print(
                "\nmean ± standard deviation over training seeds, best first, yardsticks last\n",
                style="italic",
            )
            console.print(wide if fits else narrow)
            console.print()
        for run_result in self.failures:
            console.print(Text(_failure(run_result), style="red"), soft_wrap=True)
        console.print(Text(self.counts()), soft_wrap=True)


def _failure(run_result: RunResult) -> str:
    log = f" (log: {os.path.relpath(run_result.log)})" if run_result.log else ""
    return f"{run_result.run.label}: {run_result.reason}{log}"


def _cells(row: SettingRow, metrics: Sequence[str]) -> list[str]:
    trials = str(row.total) if row.finished == row.total else f"{row.finished} of {row.total}"
    return [row.label, trials, *(str(row.spreads.get(name, "–")) for name in metrics)]


def _table(board: Leaderboard, between: str, gap: int) -> RenderableType:
    """Return the table.

    Args:
        board: Its contents.
        between: What separates a mean from its deviation: a space, or the end of a line.
        gap: Spaces between columns.
    """
    table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False)
    table.add_column("unlearner", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    for name in board.metrics:
        heading = name.replace("/", "\n").replace("_", "\n")
        table.add_column(heading, justify="right", no_wrap=True)
    for row in board.rows:
        cells = (cell.replace(" ± ", f"{between}±") for cell in _cells(row, board.metrics))
        table.add_row(*cells, style="italic dim" if row.is_yardstick else "")
    return table
