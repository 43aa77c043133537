"""``erasure.sweep``: many trials, with the loop, records and resume of the command line."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, overload

from rich.console import Console

from erasure.core.errors import ConfigError
from erasure.core.fingerprint import combine
from erasure.launch.interrupts import Stop
from erasure.launch.jobs import Job
from erasure.launch.launcher import InProcess, Launcher
from erasure.launch.local import LocalWorkers
from erasure.launch.run import Run
from erasure.launch.slots import Resources
from erasure.results.tracker import Sweep
from erasure.sweeps.grid import Grid
from erasure.sweeps.records import open_records
from erasure.sweeps.run import SweepError, run_sweep
from erasure.sweeps.run_results import RunResult
from erasure.trial.alone import read_finished, run_alone
from erasure.trial.outcome import FinishedRun
from erasure.trial.places import store_root
from erasure.trial.trial import Trial

SHARED = ("store", "tracking", "resume")
"""Settings that say where a sweep is written down, and that its trials have in common."""

PRELOADED = ("erasure.trial.alone",)
"""Imported once, before processes are forked."""

COMMAND = "erasure.sweep([...])"
"""What stands for the command line of a sweep from Python."""


@overload
def sweep(
    trials: Sequence[Trial], jobs: int = ..., *, errors: Literal["raise"] = ...
) -> list[FinishedRun]: ...


@overload
def sweep(
    trials: Sequence[Trial], jobs: int = ..., *, errors: Literal["none"]
) -> list[FinishedRun | None]: ...


def sweep(
    trials: Sequence[Trial], jobs: int = 1, *, errors: Literal["raise", "none"] = "raise"
) -> Sequence[FinishedRun | None]:
    """Carry out trials that did not finish before, and return what came of each, in their order.

    The trials share what they can: each original and each retrained model is trained once. A
    trial that fails does not end the others, and equal trials run once. Nothing is shown.

    Args:
        trials: What to run; they agree on ``store``, ``tracking`` and ``resume``.
        jobs: How many at a time. One runs in this process; more run in processes of their own,
            so that a script calls this below ``if __name__ == "__main__":``.
        errors: ``raise`` tells of failed trials when all others have run, ``none`` returns None
            in the place of each.

    Raises:
        ConfigError: If a trial cannot work; then nothing was run.
        SweepError: If some trials failed, with their reasons.
        KeyboardInterrupt: After Ctrl-C; the same call goes on.

    Example:
        >>> import erasure
        >>> trial = erasure.compose("dataset=digits", "evaluator=fast", "tracking=none")
        >>> erasure.sweep([])
        []
    """
    if errors not in ("raise", "none"):
        raise ConfigError(f"errors must be raise or none, got {errors!r}")
    if isinstance(trials, Trial):
        raise ConfigError("trials must be a list of trials, got a single one")
    for trial in trials:
        if not isinstance(trial, Trial):
            raise ConfigError(f"trials must be what erasure.compose returns, got {trial!r}")
    if not trials:
        return []
    _refuse_different(trials)
    # a dictionary drops trials that equal an earlier one, and keeps the order
    distinct = {trial.fingerprint: trial for trial in trials}
    runs = [_run(number, trial) for number, trial in enumerate(distinct.values())]
    stop = Stop()
    grid = Grid(runs=runs, records=open_records(trials[0], _identity(runs)), stop=stop)
    launcher = launcher_for(runs[0].trial, jobs, run_alone, below)
    try:
        run_sweep(grid, launcher, stop, Console(quiet=True))
    except SweepError:
        if errors == "raise":
            raise SweepError(_reasons(grid.table([], "").run_results)) from None
    finished = {r.run.record.fingerprint: r for r in grid.table([], "").run_results}
    return [_result(finished[trial.fingerprint]) for trial in trials]


def launcher_for(
    trial: Trial, jobs: int, call: Callable[[Any], Any], payload: Callable[[Run, str], Any]
) -> Launcher:
    """Return what carries out runs, in this process or in several.

    Args:
        trial: One of them, which says where the store is.
        jobs: How many at a time.
        call: Carries out a payload.
        payload: Makes one of a run and the tracking run of its sweep.

    Raises:
        ConfigError: If there are to be none.
    """
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        raise ConfigError(f"jobs must be a whole number of at least 1, got {jobs!r}")
    logs = store_root(trial.settings) / "logs"

    def to_job(run: Run, tracking_run: str) -> Job:
        log = Path(logs, f"{run.record.fingerprint}.log")
        return Job(number=run.number, payload=payload(run, tracking_run), log=log)

    if jobs == 1:
        return InProcess(call=call, to_job=to_job)
    resources = Resources(n_jobs=jobs)
    return LocalWorkers(call=call, to_job=to_job, resources=resources, preload=PRELOADED)


def below(run: Run, tracking_run: str) -> Trial:
    """Return the trial of a run, filed below the tracking run of a sweep."""
    tracking = {**run.trial.settings["tracking"], "parent": tracking_run}
    return replace(run.trial, settings={**run.trial.settings, "tracking": tracking})


def _run(number: int, trial: Trial) -> Run:
    record = trial.record
    return Run(number=number, trial=trial, label=record.name, variant=record.tags["unlearner"])


def _identity(runs: Sequence[Run]) -> Sweep:
    names = list(dict.fromkeys(run.record.name for run in runs))
    total = "1 trial" if len(runs) == 1 else f"{len(runs)} trials"
    return Sweep(
        fingerprint=combine(sorted(run.record.fingerprint for run in runs)),
        name=f"{total} from Python",
        command=COMMAND,
        overrides={},
        total=len(runs),
        description="\n".join([f"{total} from Python", "", *(f"- {name}" for name in names)]),
    )


def _refuse_different(trials: Sequence[Trial]) -> None:
    """Refuse trials that would be written down in several places."""
    for group in SHARED:
        first = trials[0].settings[group]
        others = [trial.settings[group] for trial in trials if trial.settings[group] != first]
        if others:
            raise ConfigError(
                f"{group} must be the same for all trials of a sweep, got {first} and {others[0]}"
            )


def _reasons(run_results: Sequence[RunResult]) -> str:
    failed = [r for r in run_results if r.state != "finished"]
    lines = [f"{r.run.label}: {r.reason}" for r in failed]
    return "\n".join([f"{len(failed)} of {len(run_results)} trials failed", *lines])


def _result(run_result: RunResult) -> FinishedRun | None:
    if run_result.result is None or run_result.state != "finished":
        return None
    return read_finished(run_result.run.trial, run_result.result)
