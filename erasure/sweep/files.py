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

from erasure.sweep.run_results import Entry
from erasure.sweep.summary import Leaderboard, SettingRow


@dataclass(frozen=True, kw_only=True)
class SweepSummary:
    """Everything there is to say about a sweep.

    Args:
        name: The sweep, for a reader.
        fingerprint: The sweep, for a machine.
        command: What repeats it.
        run: The tracking run that holds it.
        entries: One per trial, in the order of the grid.
        board: Their means.
    """

    name: str
    fingerprint: str
    command: str
    run: str
    entries: Sequence[Entry]
    board: Leaderboard

    @property
    def failures(self) -> list[Entry]:
        """The trials that ran and have no result."""
        return [entry for entry in self.entries if entry.state == "failed"]

    @property
    def missing(self) -> int:
        """Number of trials without a result, whether they failed or never ran."""
        return sum(entry.state != "finished" for entry in self.entries)

    @property
    def trained(self) -> int:
        """Number of models that trials of this sweep had to train."""
        return sum(entry.trained for entry in self.entries)

    def counts(self) -> str:
        """Return how many trials there are of each kind, and how many models it took."""
        before = sum(entry.before for entry in self.entries)
        now = sum(entry.state == "finished" and not entry.before for entry in self.entries)
        waiting = sum(entry.state == "not run" for entry in self.entries)
        kinds = {
            "finished": now,
            "finished before": before,
            "failed": len(self.failures),
            "not run": waiting,
        }
        told = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
        total = len(self.entries)
        trials = "1 trial" if total == 1 else f"{total} trials"
        return f"{trials}: {told}; {self.trained} models trained"

    def markdown(self) -> str:
        """Return the summary as the description of a tracking run."""
        lines = [self.counts(), "", *_markdown_table(self.board)]
        if self.failures:
            lines += ["", "**Failed**", "", *(f"- {_failure(e)}" for e in self.failures)]
        return "\n".join([*lines, "", "```", self.command, "```", ""])

    def write(self, folder: Path) -> None:
        """Write ``summary.md``, ``summary.csv`` and ``sweep.json`` into ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "summary.md").write_text(f"# {self.name}\n\n{self.markdown()}")
        (folder / "sweep.json").write_text(json.dumps(self._plain(), indent=1))
        records = [_record(entry) for entry in self.entries]
        header = list(dict.fromkeys(key for record in records for key in record))
        with (folder / "summary.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, header)
            writer.writeheader()
            writer.writerows(records)

    def show(self, console: Console) -> None:
        """Print the table, the failures and the counts."""
        if self.board.metrics:
            wide, narrow = _table(self.board, " ", 3), _table(self.board, "\n", 1)
            unlimited = console.options.update(max_width=10_000)
            fits = console.measure(wide, options=unlimited).maximum <= console.width
            console.print(
                "\nmean ± standard deviation over n trials, best first\n", style="italic"
            )
            console.print(wide if fits else narrow)
            console.print()
        for entry in self.failures:
            console.print(Text(_failure(entry), style="red"), soft_wrap=True)
        console.print(Text(self.counts()), soft_wrap=True)

    def _plain(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "command": self.command,
            "run": self.run,
            "trained": self.trained,
            "trials": [
                {
                    "fingerprint": entry.planned.trial.fingerprint,
                    "name": entry.planned.label,
                    "overrides": list(entry.planned.overrides),
                    "state": entry.state,
                    "reason": entry.reason,
                    "run": entry.result.run if entry.result else "",
                }
                for entry in self.entries
            ],
        }


def _record(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.planned.label,
        "variant": entry.planned.variant,
        **entry.planned.trial.tags,
        "overrides": " ".join(entry.planned.overrides),
        "state": entry.state,
        "reason": entry.reason,
        "seconds": round(entry.seconds, 3),
        "trained": entry.trained,
        "fingerprint": entry.planned.trial.fingerprint,
        "run": entry.result.run if entry.result else "",
        **entry.metrics,
    }


def _failure(entry: Entry) -> str:
    log = f" (log: {os.path.relpath(entry.log)})" if entry.log else ""
    return f"{entry.planned.label}: {entry.reason}{log}"


def _cells(row: SettingRow, metrics: Sequence[str]) -> list[str]:
    trials = str(row.total) if row.finished == row.total else f"{row.finished} of {row.total}"
    return [row.label, trials, *(str(row.spreads.get(name, "–")) for name in metrics)]


def _markdown_table(board: Leaderboard) -> list[str]:
    header = ["unlearner", "n", *board.metrics]
    lines = [header, ["---"] * len(header)]
    lines += [_cells(row, board.metrics) for row in board.rows]
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
        table.add_row(*cells)
    return table
