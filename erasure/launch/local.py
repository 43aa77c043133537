"""Runs in processes of their own on this machine, several at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from erasure.launch.jobs import Job, JobResult, NextJob, run_jobs, start_server
from erasure.launch.launcher import LaunchRequest, ToJob
from erasure.launch.run import Run
from erasure.launch.slots import Resources
from erasure.launch.worker import pack


@dataclass(frozen=True, kw_only=True)
class LocalWorkers:
    """Processes on this machine, forked from one that has imported what runs need.

    Args:
        call: Carries out the payload of a job in a process; any process can unpickle it.
        to_job: Makes a job of a run.
        resources: How many at a time, and where.
        preload: Modules to import before anything is forked.
    """

    call: Callable[[Any], Any]
    to_job: ToJob
    resources: Resources
    preload: Sequence[str] = ()
    takes_all: ClassVar[bool] = False

    def warm_up(self, like: Sequence[Run]) -> None:
        """Start the process to fork from; see :func:`start_server`."""
        start_server(self.preload, _threads(like))

    def run(self, request: LaunchRequest) -> None:
        """Carry out runs in slots fit for those that are like the ones to come."""
        running: dict[int, Run] = {}

        def next_job() -> Job | None:
            run = request.next_run()
            if run is None:
                return None
            running[run.number] = run
            return self.to_job(run, request.tracking_run)

        def end(job_result: JobResult) -> None:
            request.on_end(running.pop(job_result.number), job_result)

        cpu_only = all(run.cpu_only for run in request.like)
        self.run_jobs(next_job, end, threads=_threads(request.like), cpu_only=cpu_only)

    def run_jobs(
        self,
        next_job: NextJob,
        on_end: Callable[[JobResult], None],
        *,
        threads: int,
        cpu_only: bool,
    ) -> None:
        """Run what ``next_job`` returns in slots of ``threads`` threads, with GPUs or without."""
        start_server(self.preload, threads)
        slots = self.resources.slots(threads=threads, cpu_only=cpu_only)
        run_jobs(next_job, slots, pack(self.call), on_end)


def _threads(runs: Sequence[Run]) -> int:
    """Return the threads of the run that wants most."""
    return max(run.threads for run in runs)
