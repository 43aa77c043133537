"""The story of a sweep: what to run, what is done already, run the rest, sum it up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from erasure.config.compose import Compositions, hydra_sees
from erasure.config.errors import SweepError
from erasure.config.overrides import Axes, read_axes, swept
from erasure.core.errors import ConfigError
from erasure.launch.dispatch import dispatch, hands_out_one_by_one, patience
from erasure.launch.interrupts import INTERRUPTED, Stop, check_time
from erasure.launch.jobs import JobResult
from erasure.launch.local import ComposedLauncher
from erasure.launch.run import Run
from erasure.sweep.files import SweepSummary
from erasure.sweep.models_to_train import in_words, required_models
from erasure.sweep.plan import plan
from erasure.sweep.progress import plain_console, progress
from erasure.sweep.records import SweepRecords, open_desk
from erasure.sweep.run_results import Entry
from erasure.trial.table import show_address


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What a sweeper knows before it reads the command line.

    Args:
        launcher: Runs trials.
        loader: Composes configurations.
        master: The configuration of the command line as a whole.
        max_hours: Wall time after which no trial is started any more.
        console: Where to tell how it goes.

    Raises:
        ConfigError: If there cannot be an end after ``max_hours``.
    """

    launcher: Launcher
    loader: ConfigLoader
    master: DictConfig
    max_hours: float | None = None
    console: Console = field(default_factory=plain_console)

    def __post_init__(self) -> None:
        check_time("max_hours", self.max_hours)
        if self.max_hours is not None and not hands_out_one_by_one(self.launcher):
            raise ConfigError(
                "hydra.sweeper.max_hours must be null with this hydra/launcher, which takes all "
                "trials of a grid at once; local and basic can end between two"
            )


def run_grid(
    grid: Grid, params: Mapping[str, Any] | None, arguments: Sequence[str]
) -> list[Entry]:
    """Run every trial that ``params`` and ``arguments`` span, except those that finished before.

    Returns:
        One entry per trial, in the order of the grid.

    Raises:
        ErasureError: If a trial cannot work; then nothing was run. Or, when all others have run
            and the sweep is summed up, if a trial has no result.
        KeyboardInterrupt: After Ctrl-C, when what finished until then is summed up.
    """
    axes = read_axes(grid.loader, params, arguments)
    with grid.console.status("composing the trials"):
        trials = plan(Compositions(loader=grid.loader, master=grid.master), axes)
    return run_planned(grid, trials, axes, Stop.after(grid.max_hours))


def run_planned(grid: Grid, trials: Sequence[Run], axes: Axes, stop: Stop) -> list[Entry]:
    """Run the ``trials`` that ``axes`` span until ``stop`` is due; see :func:`run_grid`."""
    with hydra_sees(trials[0].config):
        desk = open_desk(trials, swept(axes))
        done, left = _sorted_out(grid, desk, trials)
        run, stopped = "", None
        entries = dict(done)
        if left or not desk.is_closed():
            run = desk.open()
            stopped = _run(grid, desk, left, run, entries, stop)
        report = desk.report([entries[trial.number] for trial in trials], run)
        if run:
            desk.close(report, grid.console)
        _show(grid.console, desk, report)
    if stopped is not None:
        raise stopped
    left_out = any(entry.state == "not run" for entry in report.entries)
    if left_out and stop.reason == INTERRUPTED:
        raise KeyboardInterrupt
    if left_out and stop.reason:
        raise SweepError(
            f"{stop.reason}: {report.missing} of {len(trials)} trials have no result; "
            "the same command goes on"
        )
    if report.missing:
        raise SweepError(f"{report.missing} of {len(trials)} trials failed")
    return list(report.entries)


def _sorted_out(
    grid: Grid, desk: SweepRecords, trials: Sequence[Run]
) -> tuple[dict[int, Entry], list[Run]]:
    """Return what is done and what is left, and refuse what cannot run before anything does."""
    with grid.console.status(f"checking {_trials(len(trials))}"):
        desk.check()
        done = desk.finished_before(trials)
        left = [trial for trial in trials if trial.number not in done]
        if left and isinstance(grid.launcher, ComposedLauncher):
            grid.launcher.warm_up([trial.config for trial in left])
        needs = required_models([trial.config for trial in left])
        models = in_words(needs, desk.store)
    outlook = _outlook(len(trials), len(left))
    grid.console.print(f"{outlook}; {models}" if models else outlook)
    return done, left


def _run(
    grid: Grid,
    desk: SweepRecords,
    left: Sequence[Run],
    run: str,
    entries: dict[int, Entry],
    stop: Stop,
) -> BaseException | None:
    """Run what is left, enter what comes of it, and return what ended the sweep early."""
    stopped: BaseException | None = None
    books = desk.books(left)
    keep_config(grid.master)
    total = len(left) + len(entries)
    before = list(entries.values())
    waiting = patience(grid.launcher, stop, grid.console)
    with waiting, progress(left, total, before, desk.objective, grid.console) as show:

        def report(trial: Run, ending: JobResult | None, error: str) -> None:
            entries[trial.number] = books.enter(trial, ending, error)
            show(entries[trial.number])

        try:
            dispatch(grid.launcher, left, run, report, stop)
        except BaseException as error:  # noqa: BLE001  # raised again when all is summed up
            stopped = error
    for trial in left:
        if trial.number not in entries:
            entries[trial.number] = books.enter(trial, None)
    return stopped


def _outlook(total: int, left: int) -> str:
    if not left:
        return f"{_trials(total)}: all finished before, nothing left to run (resume=false would)"
    if left == total:
        return f"{_trials(total)} to run"
    return f"{_trials(total)}: {total - left} finished before, {left} to run"


def _trials(count: int) -> str:
    return "1 trial" if count == 1 else f"{count} trials"


def _show(console: Console, desk: SweepRecords, report: SweepSummary) -> None:
    report.show(console)
    show_address(desk.tracker, console)


def keep_config(master: DictConfig) -> None:
    """Keep what was asked for where Hydra's own sweeper keeps it."""
    folder = Path(str(master.hydra.sweep.dir))
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(master, folder / "multirun.yaml")
