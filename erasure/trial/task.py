"""The task that Hydra calls with the configuration of a trial, which nobody below sees."""

from typing import cast

import torch
from rich.console import Console

from erasure.config.build import build
from erasure.config.settings import (
    Composed,
    options_of_config,
    settings_of_config,
    study_tags,
)
from erasure.core.errors import ConfigError
from erasure.trial.checks import check
from erasure.trial.places import store_root
from erasure.trial.progress import Monitor
from erasure.trial.recorded import TrialStores, run_recorded
from erasure.trial.table import show_address, show_result
from erasure.trial.trial import Trial


def run(cfg: Composed) -> float | tuple[float, ...]:
    """Run the trial that ``cfg`` asks for, or read it back, and return its objective.

    Raises:
        ErasureError: If a setting is wrong (then nothing was written), or the trial failed.
    """
    trial = trial_of(cfg)
    use_threads(trial)
    stores = TrialStores.of(trial, Console())
    check(trial)
    stores.check()
    result = run_recorded(trial, stores, monitor_for(cfg, trial))
    show_result(result, stores.console)
    show_address(stores.tracker, stores.console)
    values = trial.objective.values(result.metrics)
    return values[0] if len(values) == 1 else values


def trial_of(cfg: Composed, device: str | None = None) -> Trial:
    """Return the trial that a composed configuration asks for.

    Args:
        cfg: The configuration.
        device: Where it runs in place of ``cfg.device``.
    """
    return Trial(
        settings=settings_of_config(cfg),
        options=options_of_config(cfg),
        tags=study_tags(cfg),
        device_name=device,
    )


def use_threads(trial: Trial) -> None:
    """Give torch the threads of a trial.

    Raises:
        ConfigError: If there are to be none.
    """
    threads = trial.settings["threads"]
    if threads < 1:
        raise ConfigError(f"threads must be >= 1, got {threads}")
    torch.set_num_threads(threads)


def monitor_for(cfg: Composed, trial: Trial) -> Monitor | None:
    """Build what watches the method, if the run belongs to a study; a study names it."""
    if not cfg.tuning.study:
        return None
    monitor = build(cfg.tuning, "tuning", store=store_root(trial.settings))
    return cast("Monitor | None", monitor)
