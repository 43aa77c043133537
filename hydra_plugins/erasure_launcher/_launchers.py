"""Hydra's launchers, ours and others', as the loop of a sweep knows them.

The name begins with an underscore, so Hydra does not import this module when it starts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, ClassVar, Protocol, runtime_checkable

from hydra.core.utils import JobReturn, configure_log
from hydra.plugins.launcher import Launcher as AnyHydraLauncher
from omegaconf import DictConfig

from erasure.config.hydra_job import (
    below,
    error_of,
    failed_return,
    job_folder,
    parent_override,
    run_here,
)
from erasure.launch.jobs import Job, JobResult, jobs_from
from erasure.launch.launcher import InProcess, Launcher, LaunchRequest, error_line
from erasure.launch.local import LocalWorkers
from erasure.launch.run import Run

BASIC = "BasicLauncher"
"""Hydra's launcher that runs trials one after another in this process. Known by its name, because
Hydra executes the modules of plugins itself and its class is not the one we could import."""

LEFT_NOTHING = (
    "it left no result below store.root; is that the same folder there, and the code too?"
)
"""A trial that ran well elsewhere, and whose result is not where the sweep looks for it."""


@runtime_checkable
class HasWorkers(Protocol):
    """A launcher whose processes take configurations as they are: ``hydra/launcher=local``."""

    def workers(self) -> LocalWorkers:
        """Return them."""


@dataclass(frozen=True, kw_only=True)
class AllAtOnce:
    """A launcher of somebody else, which takes many runs and says little about them.

    Args:
        launcher: Composes each run again, perhaps on another machine.
    """

    launcher: AnyHydraLauncher
    takes_all: ClassVar[bool] = True

    def warm_up(self, like: Sequence[Run]) -> None:
        """Do nothing: it gets ready by itself."""

    def run(self, request: LaunchRequest) -> None:
        """Hand over runs, as many at a time as a batch has."""
        while runs := list(islice(iter(request.next_run, None), request.batch)):
            returned = self._launch(runs, request.tracking_run)
            for run, job_result in zip(runs, returned, strict=True):
                request.on_end(run, job_result)

    def _launch(self, runs: Sequence[Run], tracking_run: str) -> list[JobResult]:
        overrides = [[*run.overrides, parent_override(tracking_run)] for run in runs]
        try:
            returned = self.launcher.launch(overrides, initial_job_idx=runs[0].number)
        except (Exception, SystemExit) as raised:  # noqa: BLE001  # another launcher's, of any kind
            error = f"the launcher gave up: {error_line(raised)}"
            return [JobResult(number=run.number, error=error, died=True) for run in runs]
        errors = [error_of(job) for job in returned]
        return [
            JobResult(number=run.number, error=error_line(error) if error else LEFT_NOTHING)
            for run, error in zip(runs, errors, strict=True)
        ]


def to_job(run: Run, tracking_run: str) -> Job:
    """Return what a process has to do for a run below a tracking run."""
    return _job(run.number, below(run.config, tracking_run))


def launched(workers: LocalWorkers, configs: Sequence[DictConfig]) -> list[JobReturn]:
    """Run configurations of another sweeper and return what it expects, in their order."""
    by_number = {int(config.hydra.job.num): config for config in configs}
    returned: dict[int, JobReturn] = {}

    def end(result: JobResult) -> None:
        ok = isinstance(result.returned, JobReturn)
        config = by_number[result.number]
        returned[result.number] = result.returned if ok else failed_return(config, result.returned)

    jobs = [_job(number, config) for number, config in by_number.items()]
    threads = max(int(config.get("threads", 1)) for config in configs)
    cpu_only = all(config.get("device") == "cpu" for config in configs)
    workers.run_jobs(jobs_from(jobs), end, threads=threads, cpu_only=cpu_only)
    return [returned[number] for number in by_number]


def launcher_of(launcher: AnyHydraLauncher) -> Launcher:
    """Return Hydra's ``launcher`` as the loop of a sweep knows it."""
    if isinstance(launcher, HasWorkers):
        return launcher.workers()
    if type(launcher).__name__ == BASIC:
        return InProcess(call=partial(_call, launcher), to_job=to_job)
    return AllAtOnce(launcher=launcher)


def _call(basic: Any, config: DictConfig) -> None:
    """Run one trial as the basic launcher does, whose class is not the one we could import."""
    try:
        run_here(basic.task_function, basic.hydra_context, config)
    finally:
        configure_log(basic.config.hydra.hydra_logging, basic.config.hydra.verbose)


def _job(number: int, config: DictConfig) -> Job:
    return Job(number=number, payload=config, log=job_folder(config) / "output.log")
