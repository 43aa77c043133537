"""The workers behind ``hydra/launcher=local``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from erasure.launch.jobs import JobResult, NextJob, jobs_from, run_jobs, start_server
from erasure.launch.slots import Resources
from erasure.launch.worker import pack


@runtime_checkable
class ComposedLauncher(Protocol):
    """A launcher that takes configurations as they are instead of composing them again."""

    def warm_up(self, configs: Sequence[DictConfig]) -> None:
        """Begin to get ready; return at once."""

    def run_composed(
        self, configs: Sequence[DictConfig], on_end: Callable[[JobResult], None]
    ) -> None:
        """Run every configuration and report each as it ends."""

    def run_handed_out(
        self, next_job: NextJob, like: Sequence[DictConfig], on_end: Callable[[JobResult], None]
    ) -> None:
        """Run what ``next_job`` returns, as long as it does, and report each as it ends."""


@dataclass(frozen=True, kw_only=True)
class LocalWorkers:
    """Processes on this machine, forked from one that has imported what trials need.

    Args:
        resources: How many at a time, and where.
        preload: Modules to import before anything is forked.
        task: What a trial does with its configuration.
        context: Hydra's, for its callbacks.
    """

    resources: Resources
    preload: Sequence[str]
    task: TaskFunction
    context: HydraContext

    def warm_up(self, configs: Sequence[DictConfig]) -> None:
        """Start the process to fork from; see :func:`start_server`."""
        start_server(self.preload, _threads(configs))

    def run_composed(
        self, configs: Sequence[DictConfig], on_end: Callable[[JobResult], None]
    ) -> None:
        """Run one process per configuration; see :func:`run_jobs`."""
        if configs:
            self.run_handed_out(jobs_from(configs), configs, on_end)

    def run_handed_out(
        self, next_job: NextJob, like: Sequence[DictConfig], on_end: Callable[[JobResult], None]
    ) -> None:
        """Run what ``next_job`` returns in slots fit for configurations like those of ``like``."""
        self.warm_up(like)
        cpu_only = all(OmegaConf.select(config, "device") == "cpu" for config in like)
        slots = self.resources.slots(threads=_threads(like), cpu_only=cpu_only)
        run_jobs(next_job, slots, pack(self.task, self.context), on_end)


def _threads(configs: Sequence[DictConfig]) -> int:
    """Return the threads of the trial that wants most."""
    return max(int(OmegaConf.select(config, "threads", default=1)) for config in configs)
