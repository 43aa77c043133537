"""The story of a sweep: what to run, what is done already, run the rest, sum it up."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from erasure.config.axes import Axes, SweeperAxes, merged, read_products, swept
from erasure.config.compose import Compositions, hydra_sees
from erasure.config.errors import SweepError
from erasure.core.errors import ConfigError
from erasure.launch.dispatch import dispatch, hands_out_one_by_one, patience
from erasure.launch.interrupts import INTERRUPTED, Stop, check_time
from erasure.launch.jobs import JobResult
from erasure.launch.local import ComposedLauncher
from erasure.launch.run import Run
from erasure.sweep.files import SweepSummary
from erasure.sweep.models_to_train import required_models, summarize_models
from erasure.sweep.plan import plan
from erasure.sweep.progress import plain_console, progress
from erasure.sweep.records import SweepRecords, open_records
from erasure.sweep.run_results import RunResult


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


def run_grid(grid: Grid, sweeper: SweeperAxes, arguments: Sequence[str]) -> list[RunResult]:
    """Run every trial that ``sweeper`` and ``arguments`` span, except those that finished before.

    Returns:
        One result per run, in the order of the grid.

    Raises:
        ErasureError: If a trial cannot work; then nothing was run. Or, when all others have run
            and the sweep is summed up, if a trial has no result.
        KeyboardInterrupt: After Ctrl-C, when what finished until then is summed up.
    """
    products = read_products(grid.loader, sweeper, arguments)
    with grid.console.status("composing the trials"):
        runs = plan(Compositions(loader=grid.loader, master=grid.master), products)
    return run_all(grid, runs, merged(products), Stop.after(grid.max_hours))


def run_all(grid: Grid, runs: Sequence[Run], axes: Axes, stop: Stop) -> list[RunResult]:
    """Carry out the ``runs`` that ``axes`` span until ``stop`` is due; see :func:`run_grid`."""
    with hydra_sees(runs[0].config):
        records = open_records(runs, swept(axes))
        by_number, left = _split_by_state(grid, records, runs)
        tracking_run, error = "", None
        if left or not records.is_closed():
            tracking_run = records.open()
            error = _carry_out(grid, records, left, tracking_run, by_number, stop)
        run_results = [by_number[run.number] for run in runs]
        if tracking_run:
            run_results, tracking_run = records.deliver(run_results, tracking_run)
        summary = records.summarize(run_results, tracking_run)
        if tracking_run:
            records.close(summary, grid.console)
        _show(grid.console, records, summary)
    # Whatever ended the sweep early is raised only now, when all that finished is summed up
    if error is not None:
        raise error
    _raise_for_missing(summary, stop)
    return list(summary.run_results)


def _raise_for_missing(summary: SweepSummary, stop: Stop) -> None:
    """Raise what the exit code and the last line of a sweep with missing results are."""
    total = len(summary.run_results)
    not_run = any(run_result.state == "not run" for run_result in summary.run_results)
    if not_run and stop.reason == INTERRUPTED:
        raise KeyboardInterrupt
    if not_run and stop.reason:
        raise SweepError(
            f"{stop.reason}: {summary.missing} of {total} trials have no result; "
            "the same command goes on"
        )
    if summary.missing:
        raise SweepError(f"{summary.missing} of {total} trials failed")


def _split_by_state(
    grid: Grid, records: SweepRecords, runs: Sequence[Run]
) -> tuple[dict[int, RunResult], list[Run]]:
    """Return what is done and what is left, and refuse what cannot run before anything does."""
    with grid.console.status(f"checking {_trials(len(runs))}"):
        records.check()
        done = records.finished_before(runs)
        left = [run for run in runs if run.number not in done]
        if left and isinstance(grid.launcher, ComposedLauncher):
            # before the checks, which take seconds: workers import torch meanwhile
            grid.launcher.warm_up([run.config for run in left])
        models = summarize_models(required_models([run.config for run in left]), records.store)
    outlook = _outlook(len(runs), len(left))
    grid.console.print(f"{outlook}; {models}" if models else outlook)
    return done, left


def _carry_out(
    grid: Grid,
    records: SweepRecords,
    left: Sequence[Run],
    tracking_run: str,
    by_number: dict[int, RunResult],
    stop: Stop,
) -> BaseException | None:
    """Run what is left, add what comes of it, and return what ended the sweep early."""
    error: BaseException | None = None
    earlier = records.earlier_results(left)
    keep_config(grid.master)
    total = len(left) + len(by_number)
    read_back = list(by_number.values())
    waiting = patience(grid.launcher, stop, grid.console)
    with waiting, progress(left, total, read_back, records.objective, grid.console) as show:

        def on_end(run: Run, job_result: JobResult | None, launch_error: str) -> None:
            by_number[run.number] = earlier.run_result(run, job_result, launch_error)
            show(by_number[run.number])

        try:
            dispatch(grid.launcher, left, tracking_run, on_end, stop)
        except BaseException as caught:  # noqa: BLE001  # raised again when all is summed up
            error = caught
    for run in left:
        if run.number not in by_number:  # it may have left a result all the same
            by_number[run.number] = earlier.run_result(run, None)
    return error


def _outlook(total: int, left: int) -> str:
    if not left:
        return f"{_trials(total)}: all finished before, nothing left to run (resume=false would)"
    if left == total:
        return f"{_trials(total)} to run"
    return f"{_trials(total)}: {total - left} finished before, {left} to run"


def _trials(count: int) -> str:
    return "1 trial" if count == 1 else f"{count} trials"


def _show(console: Console, records: SweepRecords, summary: SweepSummary) -> None:
    summary.show(console)
    records.show_tracking(console, summary.tracking_run)


def keep_config(master: DictConfig) -> None:
    """Keep what was asked for where Hydra's own sweeper keeps it."""
    folder = Path(str(master.hydra.sweep.dir))
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(master, folder / "multirun.yaml")
