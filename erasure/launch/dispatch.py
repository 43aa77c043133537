"""Trials handed to a launcher, ours or another, whose return values are not trusted."""

import gc
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from textwrap import shorten
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from rich.console import Console

from erasure.launch.interrupts import Stop, patient
from erasure.launch.jobs import JobResult
from erasure.launch.local import ComposedLauncher
from erasure.launch.run import Run

BASIC = "BasicLauncher"
"""Hydra's launcher that runs trials one after another in this process. Known by its name, because
Hydra executes the modules of plugins itself and its class is not the one we could import."""

LEFT_NOTHING = (
    "it left no result below store.root; is that the same folder there, and the code too?"
)
"""A trial that ran well elsewhere, and whose result is not where the sweep looks for it."""

LONGEST_REASON = 240
"""Characters of an error; launchers append whole logs to theirs."""

OnEnd = Callable[[Run, JobResult | None, str], None]
"""Called with each run that ended: the run, how its process ended, and the launcher's error."""


def dispatch(
    launcher: Launcher, runs: Sequence[Run], parent: str, on_end: OnEnd, stop: Stop
) -> None:
    """Run ``runs`` below the tracking run ``parent`` and call ``on_end`` with each that ends.

    None is handed out any more once ``stop`` is due.
    """
    if not runs:
        return
    if isinstance(launcher, ComposedLauncher):
        _composed(launcher, runs, parent, on_end, stop)
    elif is_basic(launcher):
        _one_by_one(launcher, runs, parent, on_end, stop)
    elif not stop.is_due():
        _all_at_once(launcher, runs, parent, on_end)


def is_basic(launcher: Launcher) -> bool:
    """Tell whether trials run one after the other in this process."""
    return type(launcher).__name__ == BASIC


def hands_out_one_by_one(launcher: Launcher) -> bool:
    """Tell whether a sweep can end between two trials; other launchers take all at once."""
    return isinstance(launcher, ComposedLauncher) or is_basic(launcher)


def patience(launcher: Launcher, stop: Stop, console: Console) -> AbstractContextManager[object]:
    """Let the first Ctrl-C wait for the trials that run, if none of them hears of it as well."""
    return patient(stop, console) if hands_out_one_by_one(launcher) else nullcontext()


def _composed(
    launcher: ComposedLauncher, runs: Sequence[Run], parent: str, on_end: OnEnd, stop: Stop
) -> None:
    by_number = {run.number: run for run in runs}
    waiting = iter(runs)

    def next_job() -> DictConfig | None:
        run = None if stop.is_due() else next(waiting, None)
        return None if run is None else below(run.config, parent)

    like = [run.config for run in runs]
    launcher.run_handed_out(next_job, like, lambda end: on_end(by_number[end.number], end, ""))


def _one_by_one(
    launcher: Launcher, runs: Sequence[Run], parent: str, on_end: OnEnd, stop: Stop
) -> None:
    """Run in this process, where a trial that exits must not take the others along."""
    if gc.get_freeze_count() == 0:  # else what was imported is searched for garbage all the time
        gc.collect()
        gc.freeze()
    for run in runs:
        if stop.is_due():
            return
        try:
            error = _error(_run_here(launcher, below(run.config, parent)))
        except (Exception, SystemExit) as raised:  # noqa: BLE001  # whatever the trial raised
            error = _in_one_line(raised)
        on_end(run, None, error or "it ended without a result")


def _run_here(launcher: Launcher, config: DictConfig) -> JobReturn:
    """Run one trial as Hydra's basic launcher does, without composing it a second time."""
    setup_globals()
    basic: Any = launcher  # its class is not the one we could import, see BASIC
    returned: JobReturn = run_job(
        hydra_context=basic.hydra_context,
        task_function=basic.task_function,
        config=config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
    configure_log(basic.config.hydra.hydra_logging, basic.config.hydra.verbose)
    return returned


def _all_at_once(launcher: Launcher, runs: Sequence[Run], parent: str, on_end: OnEnd) -> None:
    try:
        errors = [_error(job) for job in _launch(launcher, runs, parent)]
    except (Exception, SystemExit) as raised:  # noqa: BLE001  # another launcher's, of any kind
        errors = [f"the launcher gave up: {_in_one_line(raised)}"] * len(runs)
    for run, error in zip(runs, errors, strict=True):
        on_end(run, None, error or LEFT_NOTHING)


def _launch(launcher: Launcher, runs: Sequence[Run], parent: str) -> Sequence[JobReturn]:
    overrides = [[*run.overrides, _parent_override(parent)] for run in runs]
    return launcher.launch(overrides, initial_job_idx=runs[0].number)


def _error(job: JobReturn) -> str:
    """Return what a trial raised that may have ended before it could write it down."""
    if job.status is not JobStatus.FAILED:
        return ""
    return _in_one_line(job._return_value)  # the property of that name raises it, and prints


def _in_one_line(error: BaseException) -> str:
    return shorten(f"{type(error).__name__}: {error}", LONGEST_REASON, placeholder=" ...")


def _parent_override(parent: str) -> str:
    return f"++tracking.parent='{parent}'"  # quoted, because an id may look like a number


def below(config: DictConfig, parent: str) -> DictConfig:
    """Note in ``config`` the tracking run of the sweep, and return it."""
    with open_dict(config), read_write(config.hydra):
        OmegaConf.update(config, "tracking.parent", parent)
        config.hydra.overrides.task.append(_parent_override(parent))
    return config
