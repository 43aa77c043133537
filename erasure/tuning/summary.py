"""A tuning sweep summed up: what each study found, and at what expense."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.text import Text

from erasure.config.command import run_command, tool_command
from erasure.launch.interrupts import FIRST_FAILURE
from erasure.sweeps.files import markdown_table, num_trained, plain_table, to_csv
from erasure.sweeps.run_results import RunResult
from erasure.sweeps.summary import format_number
from erasure.tuning.choice import best_trial, overrides_of, pareto_front, settings_of
from erasure.tuning.client import StudyClient
from erasure.tuning.command import DEFAULTS
from erasure.tuning.plots import importances, write_plots
from erasure.tuning.storage import REASON, SECONDS

TRIALS = "studies.csv"

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """What one study has found so far.

    Args:
        client: The study.
        trials: Its trials, of all processes.
    """

    client: StudyClient
    trials: Sequence[FrozenTrial]

    @property
    def best(self) -> FrozenTrial | None:
        """The trial to take."""
        return best_trial(self.trials, self.client.plan.objective)

    @property
    def counts(self) -> dict[str, int]:
        """Number of trials by state, states that occur only."""
        counted = Counter(STATES[trial.state] for trial in self.trials)
        return {state: counted[state] for state in STATES.values() if counted[state]}

    @property
    def defaults(self) -> FrozenTrial | None:
        """The trial with the method's own settings, if the space has them and it is complete."""
        plan = self.client.plan
        first = next((trial for trial in self.trials if trial.number == 0), None)
        if first is None or first.state != TrialState.COMPLETE:
            return None
        return first if plan.is_default(settings_of(first, plan.space)) else None

    def rows(self) -> list[dict[str, Any]]:
        """Return what was tried: a row per trial, with its state, values and settings."""
        return [_record(self, trial) for trial in self.trials]

    @property
    def command(self) -> str:
        """What runs the best setting on other seeds and reports it, empty without one."""
        if self.best is None:
            return ""
        plan = self.client.plan
        kept = [override for override in plan.overrides if override not in DEFAULTS.values()]
        settings = overrides_of(settings_of(self.best, plan.space))
        return run_command("-m", *kept, *settings, "seed=10,11,12")


@dataclass(frozen=True, kw_only=True)
class StudyTable:
    """What a tuning sweep has to say at the end.

    Args:
        run_results: What came of the runs of this process, one per seed and setting.
        studies: What each study has found.
        conditions: What makes it fair, and what it was, for people.
        stopped: Why it ended early, empty if it did not.
        fingerprint: The sweep, for a machine.
    """

    run_results: Sequence[RunResult]
    studies: Sequence[StudyResult]
    conditions: Mapping[str, str]
    stopped: str
    fingerprint: str

    @property
    def missing(self) -> int:
        """Number of studies without a complete trial."""
        return sum(result.counts.get("complete", 0) == 0 for result in self.studies)

    @property
    def is_over(self) -> bool:
        """Whether every study has its trials."""
        return all(result.client.num_ended >= result.client.total for result in self.studies)

    def problem(self, stopped: str) -> str:
        """Return which studies have no complete trial, or that a trial failed that must not."""
        if stopped == FIRST_FAILURE:
            failed = sum(result.counts.get("failed", 0) for result in self.studies)
            return f"{stopped}: {failed} of {self._num_trials} trials failed"
        missing = f"{self.missing} of {len(self.studies)} studies have no complete trial"
        return missing if self.missing else ""

    @property
    def _num_trials(self) -> int:
        """Number of trials that the studies have in the end."""
        return sum(result.client.total for result in self.studies)

    def counts(self) -> str:
        """Return how many trials there are of each kind, and how many models it took."""
        total: Counter[str] = Counter()
        for result in self.studies:
            total.update(result.counts)
        counted = ", ".join(f"{total[s]} {s}" for s in STATES.values() if total[s])
        trials = f"{total.total()} of {self._num_trials} trials"
        return f"{trials}: {counted}; {num_trained(self.run_results)} models trained"

    def markdown(self) -> list[str]:
        """Return the table of studies, with what makes it fair and what each has found."""
        lines: list[str] = []
        if self.stopped:
            lines += [f"**ProgressLine early**: {self.stopped}. The same command goes on.", ""]
        lines += markdown_table(_header(self.studies), [_row(result) for result in self.studies])
        lines += ["", *(f"- {key}: {value}" for key, value in self.conditions.items())]
        for result in self.studies:
            lines += ["", f"**{result.client.plan.label}**", "", *_details(result)]
        return lines

    def write(self, folder: Path) -> None:
        """Write plots of the studies, and their trials."""
        for result in self.studies:
            write_plots(result.client.study, result.client.plan.objective, folder / "plots")
        # last: see is_written
        (folder / TRIALS).write_text(self._trials(), newline="", encoding="utf-8")

    def is_written(self, folder: Path) -> bool:
        """Tell whether ``folder`` holds the summary of exactly these trials."""
        path = folder / TRIALS
        return path.is_file() and path.read_bytes().decode() == self._trials()

    def _trials(self) -> str:
        """Return all trials as CSV."""
        records = [row for result in self.studies for row in result.rows()]
        return to_csv(records)

    def show(self, console: Console) -> None:
        """Print the table, what failed and why, and the commands that go on from here."""
        table = plain_table(_header(self.studies), [_row(result) for result in self.studies])
        console.print()
        console.print(table)
        for result in self.studies:
            for reason, count in _reasons(result.trials).items():
                line = f"{result.client.plan.label}: {count} x {reason}"
                console.print(Text(line, style="red"), soft_wrap=True)
        console.print(Text(f"\n{self.counts()}"), soft_wrap=True)
        if self.stopped:
            console.print(Text(f"ended early: {self.stopped}; the same command goes on"))
        _show_commands(console, [s.command for s in self.studies if s.command], self.fingerprint)


def _show_commands(console: Console, commands: Sequence[str], sweep: str) -> None:
    """Print what to paste next, where there is anything."""
    if not commands:
        return
    console.print("\nthe best settings on other seeds and the test set:")
    for command in commands:
        console.print(Text(f"  {command}"), soft_wrap=True)
    console.print("\nas recipes:")
    command = tool_command("studies", "recipe", "--sweep", sweep)
    console.print(Text(f"  {command}"), soft_wrap=True)


def _header(studies: Sequence[StudyResult]) -> list[str]:
    metrics = list(
        dict.fromkeys(name for s in studies for name in s.client.plan.objective.metrics)
    )
    return ["study", "trials", "complete", "pruned", "failed", *metrics, "by trial", "defaults"]


def _row(result: StudyResult) -> list[str]:
    counts, best, default = result.counts, result.best, result.defaults
    metrics = result.client.plan.objective.metrics
    values = dict(zip(metrics, best.values, strict=True)) if best else {}
    return [
        result.client.plan.label,
        f"{len(result.trials)} of {result.client.total}",
        *(str(counts.get(state, 0)) for state in ("complete", "pruned", "failed")),
        *(format_number(values[name]) if name in values else "–" for name in metrics),
        str(best.number) if best else "–",
        "/".join(format_number(value) for value in default.values) if default else "–",
    ]


def _details(result: StudyResult) -> list[str]:
    lines = [f"study `{result.client.plan.name}`"]
    weights = importances(result.client.study, result.client.plan.objective)
    if weights:
        shares = ", ".join(f"`{name}` {weight:.2f}" for name, weight in weights.items())
        lines += [
            "",
            f"importance for {next(iter(result.client.plan.objective.metrics))}: {shares}",
        ]
    if len(result.client.plan.objective.metrics) > 1:
        front = pareto_front(result.trials, result.client.plan.objective)
        numbers = ", ".join(str(trial.number) for trial in front)
        lines += ["", f"Pareto front: trials {numbers}"]
    lines += ["", *(f"- {n} x {why}" for why, n in _reasons(result.trials).items())]
    return [*lines, "", "```", result.command, "```"] if result.command else lines


def _reasons(trials: Sequence[FrozenTrial]) -> Counter[str]:
    return Counter(
        f"{STATES[trial.state]}: {trial.user_attrs[REASON]}"
        for trial in trials
        if REASON in trial.user_attrs
    )


def _record(result: StudyResult, trial: FrozenTrial) -> dict[str, Any]:
    # only a complete trial has values
    values = dict(zip(result.client.plan.objective.metrics, trial.values or (), strict=False))
    return {
        "study": result.client.plan.name,
        "trial": trial.number,
        "state": STATES[trial.state],
        "reason": trial.user_attrs.get(REASON, ""),
        "unlearn_seconds": trial.user_attrs.get(SECONDS, ""),
        **values,
        **settings_of(trial, result.client.plan.space),
    }
