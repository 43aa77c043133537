"""A sweep's summary as files for machines and as a table for people."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.table import Table

from erasure.sweeps.run_results import RunResult


class SummaryTable(Protocol):
    """What a source has to say at the end of a sweep."""

    @property
    def run_results(self) -> Sequence[RunResult]:
        """What came of the runs."""

    @property
    def missing(self) -> int:
        """How much has no result; with any, the sweep is shown as failed."""

    @property
    def is_over(self) -> bool:
        """Whether everything was brought to its end, whatever came of it."""

    def problem(self, stopped: str) -> str:
        """Return what is to be mended, empty if nothing is.

        Args:
            stopped: Why nothing new was started, empty if all was.
        """

    def counts(self) -> str:
        """Return how much there is of each kind, and how many models it took."""

    def markdown(self) -> list[str]:
        """Return the lines of the description of the tracking run, but for counts and command."""

    def write(self, folder: Path) -> None:
        """Write files besides those that every sweep has."""

    def is_written(self, folder: Path) -> bool:
        """Tell whether ``folder`` holds the files of exactly this table."""

    def show(self, console: Console) -> None:
        """Print it, and what to do next."""


@dataclass(frozen=True, kw_only=True)
class SweepSummary:
    """Everything there is to say about a sweep.

    Args:
        name: The sweep, for a reader.
        fingerprint: The sweep, for a machine.
        command: What repeats it.
        tracking_run: The tracking run that holds it.
        table: What its source has to say.
    """

    name: str
    fingerprint: str
    command: str
    tracking_run: str
    table: SummaryTable

    def markdown(self) -> str:
        """Return the summary as the description of a tracking run."""
        lines = [self.table.counts(), "", *self.table.markdown()]
        return "\n".join([*lines, "", "```", self.command, "```", ""])

    def write(self, folder: Path) -> None:
        """Write ``summary.md``, ``summary.csv``, ``sweep.json`` and what the source adds."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "summary.md").write_text(f"# {self.name}\n\n{self.markdown()}", encoding="utf-8")
        (folder / "sweep.json").write_text(json.dumps(self._plain(), indent=1), encoding="utf-8")
        records = [_record(run_result) for run_result in self.table.run_results]
        (folder / "summary.csv").write_text(to_csv(records), newline="", encoding="utf-8")
        self.table.write(folder)

    def _plain(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "command": self.command,
            "run": self.tracking_run,
            "trained": num_trained(self.table.run_results),
            "trials": [
                {
                    "fingerprint": run_result.run.record.fingerprint,
                    "name": run_result.run.label,
                    "overrides": list(run_result.run.overrides),
                    "state": run_result.state,
                    "reason": run_result.reason,
                    "run": run_result.result.run if run_result.result else "",
                }
                for run_result in self.table.run_results
            ],
        }


def num_trained(run_results: Sequence[RunResult]) -> int:
    """Return the number of models that runs of a sweep had to train."""
    return sum(run_result.trained for run_result in run_results)


def to_csv(records: Sequence[Mapping[str, Any]]) -> str:
    """Return records as CSV, with a column for each key that any of them has."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for record in records for key in record)))
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines]


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


def plain_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> Table:
    """Return a table for the terminal, whose first ``left`` columns are text."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column, name in enumerate(header):
        table.add_column(name, justify="left" if column < left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table
