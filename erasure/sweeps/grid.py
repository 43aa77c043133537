"""A sweep over a list of runs: every combination of the swept values, or what Python lists."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from erasure.config.axes import Axes, swept
from erasure.config.command import typed_command
from erasure.core.fingerprint import combine
from erasure.launch.interrupts import Stop
from erasure.launch.run import Run
from erasure.results.tracker import Sweep
from erasure.sweeps.grid_table import GridTable
from erasure.sweeps.models_to_train import required_models, summarize_models
from erasure.sweeps.records import SweepRecords, open_records
from erasure.sweeps.run_results import RunResult
from erasure.sweeps.source import ProgressLine, Workload
from erasure.sweeps.summary import format_number, leaderboard
from erasure.trial.describe import GROUPS
from erasure.trial.objective import Objective


@dataclass(kw_only=True)
class Grid:
    """A list of runs, of which those are handed out that did not finish before.

    Args:
        runs: The runs; no two have one fingerprint.
        records: Where the sweep is written down.
        stop: Due when no run may be started any more.
        batch: Most runs to hand at once to a launcher that takes many; None is all.
    """

    runs: Sequence[Run]
    records: SweepRecords
    stop: Stop
    batch: int | None = None
    _by_number: dict[int, RunResult] = field(default_factory=dict)
    _waiting: list[Run] = field(default_factory=list)
    _width: int = 0
    _best: float = math.nan

    @classmethod
    def of(cls, runs: Sequence[Run], axes: Axes, stop: Stop) -> "Grid":
        """Return the grid that ``axes`` span, whose first run says where it is written down."""
        records = open_records(runs[0].trial, grid_sweep(runs, swept(axes)))
        return cls(runs=runs, records=records, stop=stop)

    def left(self) -> Sequence[Run]:
        """Look up what is done and return the other runs."""
        for run_result in self.records.finished_before(self.runs).values():
            self._add(run_result)
        self._waiting = [run for run in self.runs if run.number not in self._by_number]
        self._width = max((len(run.label) for run in self._waiting), default=0)
        return self._waiting

    def check(self) -> Workload:
        """Refuse a run that cannot work, and say how many are left and what they train."""
        models = summarize_models(required_models(self._waiting), self.records.store)
        total, num_left = len(self.runs), len(self._waiting)
        text = _outlook(total, num_left)
        return Workload(
            text=f"{text}; {models}" if models else text,
            like=list(self._waiting),
            total=total,
            done=total - num_left,
        )

    def opened(self) -> AbstractContextManager[object]:
        """Return a context that does nothing."""
        return nullcontext()

    def ask(self) -> Run | None:
        """Return the next run of the list."""
        return self._waiting.pop(0) if self._waiting and not self.stop.is_due() else None

    def tell(self, run: Run, run_result: RunResult) -> ProgressLine:
        """Take note of what came of a run."""
        self._add(run_result)
        return run_line(run, run_result, self.records.objective, self._width)

    def best(self) -> str:
        """Return the best value of the first metric of the objective."""
        if math.isnan(self._best):
            return ""
        return f"best {next(iter(self.records.objective.metrics))} {format_number(self._best)}"

    def table(
        self,
        run_results: Sequence[RunResult],
        stopped: str,  # noqa: ARG002
    ) -> GridTable:
        """Return means over seeds, with every run of the list, in its order."""
        reported = {**self._by_number, **{each.run.number: each for each in run_results}}
        untold = [run for run in self.runs if run.number not in reported]
        # another process with a sweep of its own may have finished what this one did not begin
        elsewhere = self.records.finished_before(untold)
        not_run = {r.number: RunResult(run=r, state="not run", reason="not run") for r in untold}
        by_number = {**not_run, **elsewhere, **reported}
        every = [by_number[run.number] for run in self.runs]
        return GridTable(run_results=every, board=leaderboard(every, self.records.objective))

    def _add(self, run_result: RunResult) -> None:
        objective = self.records.objective
        self._by_number[run_result.run.number] = run_result
        value = objective.values(run_result.metrics)[0]
        maximize = next(iter(objective.metrics.values())) == "maximize"
        # comparisons with NaN are false, so the first value needs the last condition
        if (value > self._best if maximize else value < self._best) or math.isnan(self._best):
            self._best = value


def run_line(run: Run, run_result: RunResult, objective: Objective, width: int) -> ProgressLine:
    """Return what is shown of a run that ended, with its name in ``width`` characters."""
    head = f"{run.label:<{width}}   "
    if run_result.state != "finished":
        return ProgressLine(
            text=f"{head}{run_result.state}: {run_result.reason}", outcome=run_result.state
        )
    pairs = zip(objective.metrics, objective.values(run_result.metrics), strict=True)
    values = "   ".join(f"{name} {format_number(value)}" for name, value in pairs)
    return ProgressLine(
        text=f"{head}{values}   {run_result.seconds:.1f} s",
        outcome="finished",
        seconds=run_result.seconds,
        trained=run_result.trained,
        read_back=run_result.read_back,
    )


def grid_sweep(runs: Sequence[Run], axes: Axes) -> Sweep:
    """Return the identity of a sweep over ``runs``.

    Args:
        runs: The runs.
        axes: What is swept.
    """
    command = typed_command()
    overrides = {key: _values(choices) for key, choices in axes.items()}
    space = [f"- `{key}`: {values}" for key, values in overrides.items()]
    return Sweep(
        # sorted: the order of the axes does not make another sweep
        fingerprint=combine(sorted(run.record.fingerprint for run in runs)),
        name=_name(runs, axes),
        command=command,
        overrides=overrides,
        total=len(runs),
        description="\n".join([f"{len(runs)} trials", "", *space, "", "```", command, "```"]),
    )


def _name(runs: Sequence[Run], axes: Axes) -> str:
    if not axes:
        return runs[0].label
    # axes that step together and several grids are no product
    is_product = math.prod(map(len, axes.values())) == len(runs)
    counts = (" × " if is_product else ", ").join(
        _counted(key, len(choices)) for key, choices in axes.items()
    )
    datasets = dict.fromkeys(run.record.tags["dataset"] for run in runs)
    return f"{counts} on {', '.join(datasets)}"


def _counted(key: str, count: int) -> str:
    plural = key in GROUPS or key == "seed"
    return f"{count} {key}s" if plural else f"{count} values of {key}"


def _values(choices: Sequence[str]) -> str:
    return ", ".join(choice.partition("=")[2] for choice in choices)


def _outlook(total: int, left: int) -> str:
    if not left:
        return f"{_trials(total)}: all finished before, nothing left to run (resume=false would)"
    if left == total:
        return f"{_trials(total)} to run"
    return f"{_trials(total)}: {total - left} finished before, {left} to run"


def _trials(count: int) -> str:
    return "1 trial" if count == 1 else f"{count} trials"
