"""Trials handed to a launcher, ours or another, whose return values are not trusted."""

from collections.abc import Callable, Sequence

from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from erasure.sweep.launch import Ending
from erasure.sweep.local import ComposedLauncher
from erasure.sweep.plan import Planned

BASIC = "BasicLauncher"
"""Hydra's launcher that runs trials one after another in this process. Known by its name, because
Hydra executes the modules of plugins itself and its class is not the one we could import."""

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
    configs = [_below(trial.config, parent) for trial in trials]
    launcher.run_composed(configs, lambda end: report(by_number[end.number], end, ""))


def _one_by_one(
    launcher: Launcher, trials: Sequence[Planned], parent: str, report: Report
) -> None:
    """Run in this process, where a trial that exits must not take the others along."""
    for trial in trials:
        error = _launch(launcher, [trial], parent, trial.number)
        report(trial, None, error or "it ended without a result")


def _all_at_once(
    launcher: Launcher, trials: Sequence[Planned], parent: str, report: Report
) -> None:
    error = _launch(launcher, trials, parent, 0)
    for trial in trials:
        report(trial, None, error or "the worker died")


def _launch(launcher: Launcher, trials: Sequence[Planned], parent: str, first: int) -> str:
    overrides = [[*trial.overrides, _parent_override(parent)] for trial in trials]
    try:
        launcher.launch(overrides, initial_job_idx=first)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # another launcher's, of any kind
        return f"{type(error).__name__}: {error}"
    return ""


def _parent_override(parent: str) -> str:
    return f"++tracking.parent='{parent}'"  # quoted, because an id may look like a number


def _below(config: DictConfig, parent: str) -> DictConfig:
    with open_dict(config), read_write(config.hydra):
        OmegaConf.update(config, "tracking.parent", parent)
        config.hydra.overrides.task.append(_parent_override(parent))
    return config
