"""A sweep's summary as files for machines and as a table for people."""

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from erasure.sweep.run_results import RunResult
from erasure.sweep.summary import Leaderboard, SettingRow


@dataclass(frozen=True, kw_only=True)
class SweepSummary:
    """Everything there is to say about a sweep.

    Args:
        name: The sweep, for a reader.
        fingerprint: The sweep, for a machine.
        command: What repeats it.
        tracking_run: The tracking run that holds it.
        run_results: One per trial, in the order of the grid.
        board: Their means.
    """

    name: str
    fingerprint: str
    command: str
    tracking_run: str
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
    def trained(self) -> int:
        """Number of models that trials of this sweep had to train."""
        return sum(run_result.trained for run_result in self.run_results)

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
        return f"{trials}: {counted}; {self.trained} models trained"

    def markdown(self) -> str:
        """Return the summary as the description of a tracking run."""
        lines = [self.counts(), "", *_markdown_table(self.board)]
        if self.failures:
            lines += ["", "**Failed**", "", *(f"- {_failure(r)}" for r in self.failures)]
        return "\n".join([*lines, "", "```", self.command, "```", ""])

    def write(self, folder: Path) -> None:
        """Write ``summary.md``, ``summary.csv`` and ``sweep.json`` into ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "summary.md").write_text(f"# {self.name}\n\n{self.markdown()}", encoding="utf-8")
        (folder / "sweep.json").write_text(json.dumps(self._plain(), indent=1), encoding="utf-8")
        records = [_record(run_result) for run_result in self.run_results]
        header = list(dict.fromkeys(key for record in records for key in record))
        with (folder / "summary.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, header)
            writer.writeheader()
            writer.writerows(records)

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

    def _plain(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "command": self.command,
            "run": self.tracking_run,
            "trained": self.trained,
            "trials": [
                {
                    "fingerprint": run_result.run.record.fingerprint,
                    "name": run_result.run.label,
                    "overrides": list(run_result.run.overrides),
                    "state": run_result.state,
                    "reason": run_result.reason,
                    "run": run_result.result.run if run_result.result else "",
                }
                for run_result in self.run_results
            ],
        }


def _record(run_result: RunResult) -> dict[str, Any]:
    return {
        "name": run_result.run.label,
        "variant": run_result.run.variant,
        **run_result.run.record.tags,
        "overrides": " ".join(run_result.run.overrides),
        "state": run_result.state,
        "reason": run_result.reason,
        "seconds": round(run_result.seconds, 3),
        "trained": run_result.trained,
        "fingerprint": run_result.run.record.fingerprint,
        "run": run_result.result.run if run_result.result else "",
        **run_result.metrics,
    }


def _failure(run_result: RunResult) -> str:
    log = f" (log: {os.path.relpath(run_result.log)})" if run_result.log else ""
    return f"{run_result.run.label}: {run_result.reason}{log}"


def _cells(row: SettingRow, metrics: Sequence[str]) -> list[str]:
    trials = str(row.total) if row.finished == row.total else f"{row.finished} of {row.total}"
    return [row.label, trials, *(str(row.spreads.get(name, "–")) for name in metrics)]


def _markdown_table(board: Leaderboard) -> list[str]:
    header = ["unlearner", "n", *board.metrics]
    lines = [header, ["---"] * len(header)]
    for row in board.rows:
        label, *numbers = _cells(row, board.metrics)
        lines.append([f"*{label}*" if row.is_yardstick else label, *numbers])
    return [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines]


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
