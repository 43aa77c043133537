"""Trials handed to a launcher, ours or another, whose return values are not trusted."""

from collections.abc import Callable, Sequence
from textwrap import shorten

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from erasure.sweep.launch import Ending
from erasure.sweep.local import ComposedLauncher
from erasure.sweep.plan import Planned

BASIC = "BasicLauncher"
"""Hydra's launcher that runs trials one after another in this process. Known by its name, because
Hydra executes the modules of plugins itself and its class is not the one we could import."""

LEFT_NOTHING = (
    "it left no result below store.root; is that the same folder there, and the code too?"
)
"""A trial that ran well elsewhere, and whose result is not where the sweep looks for it."""

LONGEST_REASON = 240
"""Characters of an error; launchers append whole logs to theirs."""

Report = Callable[[Planned, Ending | None, str], None]
"""Told of each trial that ended: the trial, how its process ended, and the launcher's error."""


def dispatch(launcher: Launcher, trials: Sequence[Planned], parent: str, report: Report) -> None:
    """Run ``trials`` below the tracking run ``parent`` and report each that ends."""
    if isinstance(launcher, ComposedLauncher):
        _composed(launcher, trials, parent, report)
    elif type(launcher).__name__ == BASIC:
        _one_by_one(launcher, trials, parent, report)
    else:
        _all_at_once(launcher, trials, parent, report)


def _composed(
    launcher: ComposedLauncher, trials: Sequence[Planned], parent: str, report: Report
) -> None:
    by_number = {trial.number: trial for trial in trials}
    configs = [below(trial.config, parent) for trial in trials]
    launcher.run_composed(configs, lambda end: report(by_number[end.number], end, ""))


def _one_by_one(
    launcher: Launcher, trials: Sequence[Planned], parent: str, report: Report
) -> None:
    """Run in this process, where a trial that exits must not take the others along."""
    for trial in trials:
        try:
            error = _error(*_launch(launcher, [trial], parent))
        except (Exception, SystemExit) as raised:  # noqa: BLE001  # whatever the trial raised
            error = _in_one_line(raised)
        report(trial, None, error or "it ended without a result")


def _all_at_once(
    launcher: Launcher, trials: Sequence[Planned], parent: str, report: Report
) -> None:
    try:
        errors = [_error(job) for job in _launch(launcher, trials, parent)]
    except (Exception, SystemExit) as raised:  # noqa: BLE001  # another launcher's, of any kind
        errors = [f"the launcher gave up: {_in_one_line(raised)}"] * len(trials)
    for trial, error in zip(trials, errors, strict=True):
        report(trial, None, error or LEFT_NOTHING)


def _launch(launcher: Launcher, trials: Sequence[Planned], parent: str) -> Sequence[JobReturn]:
    overrides = [[*trial.overrides, _parent_override(parent)] for trial in trials]
    return launcher.launch(overrides, initial_job_idx=trials[0].number)


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
