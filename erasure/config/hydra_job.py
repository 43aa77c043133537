"""A configuration carried out as Hydra carries out a job, here or in another process."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from erasure.config.compose import hydra_sees
from erasure.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class HydraJob:
    """Runs a task with configurations, in a process in which Hydra was never started.

    Args:
        task: What to do with a configuration.
        context: Hydra's, for its callbacks.
        state: Hydra's registries, which this process filled from its plugins and another has
            empty.
    """

    task: TaskFunction
    context: HydraContext
    state: Any = field(default_factory=Singleton.get_state)

    def __call__(self, config: DictConfig) -> JobReturn:
        """Run the task and return what it returned; what it raised is raised."""
        Singleton.set_state(self.state)
        HydraConfig.instance().set_config(config)
        return run_here(self.task, self.context, config)


def run_here(task: TaskFunction, context: HydraContext, config: DictConfig) -> JobReturn:
    """Run ``task`` in this process as Hydra's basic launcher does, but compose nothing.

    Raises:
        Exception: What the task raised.
    """
    setup_globals()
    returned: JobReturn = run_job(
        hydra_context=context,
        task_function=task,
        config=config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
    error = error_of(returned)
    if error is not None:
        raise error
    return returned


def error_of(returned: JobReturn) -> BaseException | None:
    """Return what a job raised, if it did."""
    # the property return_value raises and prints it
    return returned._return_value if returned.status is JobStatus.FAILED else None


def failed_return(config: DictConfig, error: object) -> JobReturn:
    """Return what a launcher of Hydra returns of a job that raised ``error``, or died."""
    returned = JobReturn(
        overrides=list(config.hydra.overrides.task), cfg=config, status=JobStatus.FAILED
    )
    returned.return_value = error
    return returned


def job_folder(config: DictConfig) -> Path:
    """Make the folder of a job, and return it.

    Raises:
        ConfigError: If it cannot be made.
    """
    with hydra_sees(config):
        folder = Path(str(config.hydra.sweep.dir), str(config.hydra.sweep.subdir)).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"hydra.sweep.subdir must name a folder, {folder} cannot be made: {error.strerror}"
        ) from error
    return folder


def parent_override(tracking_run: str) -> str:
    """Return the override that files a trial below a tracking run."""
    return f"++tracking.parent='{tracking_run}'"  # quoted, because an id may look like a number


def below(config: DictConfig, tracking_run: str) -> DictConfig:
    """Note in ``config`` the tracking run of the sweep, and return it."""
    with open_dict(config), read_write(config.hydra):
        OmegaConf.update(config, "tracking.parent", tracking_run)
        config.hydra.overrides.task.append(parent_override(tracking_run))
    return config


def keep_config(master: DictConfig) -> None:
    """Keep what was asked for where Hydra's own sweeper keeps it."""
    folder = Path(str(master.hydra.sweep.dir))
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(master, folder / "multirun.yaml")
