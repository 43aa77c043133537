"""A tuning sweep summed up: what each study found, and at what expense."""

import csv
import io
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.table import Table
from rich.text import Text

from erasure.sweep.files import SweepSummary
from erasure.sweep.summary import figure
from erasure.tuning.choice import chosen, overrides_of, pareto_front, settings_of
from erasure.tuning.client import StudyClient
from erasure.tuning.command import DEFAULTS
from erasure.tuning.notes import REASON, SECONDS
from erasure.tuning.plots import importances, write_plots

TRIALS = "studies.csv"

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one study has found so far.

    Args:
        book: The study.
        trials: Its trials, of all processes.
    """

    book: StudyClient
    trials: Sequence[FrozenTrial]

    @property
    def best(self) -> FrozenTrial | None:
        """The trial to take."""
        return chosen(self.trials, self.book.plan.objective)

    @property
    def counts(self) -> dict[str, int]:
        """Number of trials by state, states that occur only."""
        counted = Counter(STATES[trial.state] for trial in self.trials)
        return {state: counted[state] for state in STATES.values() if counted[state]}

    @property
    def defaults(self) -> FrozenTrial | None:
        """The trial with the method's own settings, if the space has them and it is complete."""
        plan = self.book.plan
        first = next((trial for trial in self.trials if trial.number == 0), None)
        if first is None or first.state != TrialState.COMPLETE:
            return None
        return first if plan.is_default(settings_of(first, plan.space)) else None

    @property
    def command(self) -> str:
        """What runs the best setting on other seeds and reports it, empty without one."""
        if self.best is None:
            return ""
        plan = self.book.plan
        kept = [override for override in plan.overrides if override not in DEFAULTS.values()]
        settings = overrides_of(settings_of(self.best, plan.space))
        return shlex.join(["python", "run.py", "-m", *kept, *settings, "seed=10,11,12"])


@dataclass(frozen=True, kw_only=True)
class StudySummary:
    """Everything there is to say about a tuning sweep.

    Args:
        report: Its runs, one per seed and setting.
        found: Its studies.
        facts: What makes it fair, and what it was, for people.
        stopped: Why it ended early, empty if it did not.
    """

    report: SweepSummary
    found: Sequence[Found]
    facts: Mapping[str, str]
    stopped: str

    @property
    def run(self) -> str:
        """The tracking run that holds the sweep."""
        return self.report.run

    @property
    def missing(self) -> int:
        """Number of studies without a complete trial."""
        return sum(found.counts.get("complete", 0) == 0 for found in self.found)

    def counts(self) -> str:
        """Return how many trials there are of each kind, and how many models it took."""
        total: Counter[str] = Counter()
        for found in self.found:
            total.update(found.counts)
        told = ", ".join(f"{total[s]} {s}" for s in STATES.values() if total[s])
        budget = sum(found.book.total for found in self.found)
        return f"{total.total()} of {budget} trials: {told}; {self.report.trained} models trained"

    def markdown(self) -> str:
        """Return the summary as the description of a tracking run."""
        lines = [self.counts(), ""]
        if self.stopped:
            lines += [f"**Ended early**: {self.stopped}. The same command goes on.", ""]
        lines += _markdown(_header(self.found), [_row(found) for found in self.found])
        lines += ["", *(f"- {key}: {value}" for key, value in self.facts.items())]
        for found in self.found:
            lines += ["", f"**{found.book.plan.label}**", "", *_details(found)]
        return "\n".join([*lines, "", "```", self.report.command, "```", ""])

    def write(self, folder: Path) -> None:
        """Write tables and plots into ``folder``."""
        self.report.write(folder)
        (folder / "summary.md").write_text(f"# {self.report.name}\n\n{self.markdown()}")
        for found in self.found:
            write_plots(found.book.study, found.book.plan.objective, folder / "plots")
        (folder / TRIALS).write_text(self._trials(), newline="")  # last: see is_written

    def is_written(self, folder: Path) -> bool:
        """Tell whether ``folder`` holds the summary of exactly these trials."""
        path = folder / TRIALS
        return path.is_file() and path.read_bytes().decode() == self._trials()

    def _trials(self) -> str:
        """Return all trials as CSV."""
        records = [_record(found, trial) for found in self.found for trial in found.trials]
        header = list(dict.fromkeys(key for record in records for key in record))
        text = io.StringIO()
        writer = csv.DictWriter(text, header)
        writer.writeheader()
        writer.writerows(records)
        return text.getvalue()

    def show(self, console: Console) -> None:
        """Print the table, what failed and why, and the commands that go on from here."""
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        for place, name in enumerate(_header(self.found)):
            table.add_column(name, justify="right" if place else "left", no_wrap=True)
        for found in self.found:
            table.add_row(*_row(found))
        console.print()
        console.print(table)
        for found in self.found:
            for reason, count in _reasons(found.trials).items():
                told = f"{found.book.plan.label}: {count} x {reason}"
                console.print(Text(told, style="red"), soft_wrap=True)
        console.print(Text(f"\n{self.counts()}"), soft_wrap=True)
        if self.stopped:
            console.print(Text(f"ended early: {self.stopped}; the same command goes on"))
        _show_commands(console, [f.command for f in self.found if f.command], self.report)


def _show_commands(console: Console, commands: Sequence[str], report: SweepSummary) -> None:
    """Print what to paste next, where there is anything."""
    if not commands:
        return
    console.print("\nthe best settings on other seeds and the test set:")
    for command in commands:
        console.print(Text(f"  {command}"), soft_wrap=True)
    console.print("\nas recipes:")
    console.print(
        Text(f"  python -m erasure studies recipe --sweep {report.fingerprint}"), soft_wrap=True
    )


def _header(found: Sequence[Found]) -> list[str]:
    metrics = list(dict.fromkeys(name for f in found for name in f.book.plan.objective.metrics))
    return ["study", "trials", "complete", "pruned", "failed", *metrics, "by trial", "defaults"]


def _row(found: Found) -> list[str]:
    counts, best, default = found.counts, found.best, found.defaults
    metrics = found.book.plan.objective.metrics
    values = dict(zip(metrics, best.values, strict=True)) if best else {}
    return [
        found.book.plan.label,
        f"{len(found.trials)} of {found.book.total}",
        *(str(counts.get(state, 0)) for state in ("complete", "pruned", "failed")),
        *(figure(values[name]) if name in values else "–" for name in metrics),
        str(best.number) if best else "–",
        "/".join(figure(value) for value in default.values) if default else "–",
    ]


def _details(found: Found) -> list[str]:
    lines = [f"study `{found.book.plan.name}`"]
    weights = importances(found.book.study, found.book.plan.objective)
    if weights:
        told = ", ".join(f"`{name}` {weight:.2f}" for name, weight in weights.items())
        lines += ["", f"importance for {next(iter(found.book.plan.objective.metrics))}: {told}"]
    if len(found.book.plan.objective.metrics) > 1:
        front = pareto_front(found.trials, found.book.plan.objective)
        numbers = ", ".join(str(trial.number) for trial in front)
        lines += ["", f"Pareto front: trials {numbers}"]
    lines += ["", *(f"- {n} x {why}" for why, n in _reasons(found.trials).items())]
    return [*lines, "", "```", found.command, "```"] if found.command else lines


def _reasons(trials: Sequence[FrozenTrial]) -> Counter[str]:
    return Counter(
        f"{STATES[trial.state]}: {trial.user_attrs[REASON]}"
        for trial in trials
        if REASON in trial.user_attrs
    )


def _record(found: Found, trial: FrozenTrial) -> dict[str, Any]:
    values = dict(zip(found.book.plan.objective.metrics, trial.values or (), strict=False))
    return {
        "study": found.book.plan.name,
        "trial": trial.number,
        "state": STATES[trial.state],
        "reason": trial.user_attrs.get(REASON, ""),
        "unlearn_seconds": trial.user_attrs.get(SECONDS, ""),
        **values,
        **settings_of(trial, found.book.plan.space),
    }


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [list(header), ["---"] * len(header), *rows]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines]
