"""Trials in processes of their own, several at a time: the parent's side."""

import multiprocessing
import os
import pickle
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection, forkserver
from pathlib import Path

import cloudpickle  # type: ignore[import-untyped]
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig

from erasure.config.compose import hydra_sees
from erasure.core.errors import ErasureError
from erasure.launch.slots import Slot
from erasure.launch.worker import Job, work

PATIENCE = 5.0
"""Seconds between asking a process to end and ending it."""

# fork would copy a CUDA context and held locks, spawn would import torch once per trial
_CONTEXT = multiprocessing.get_context("forkserver")


NextJob = Callable[[], DictConfig | None]
"""Returns the next configuration to run, or None if there is none now."""


class LaunchError(ErasureError):
    """The machine does not let us start processes."""


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """How a trial's process ended; whether it has a result is for the store to say.

    Args:
        number: The trial's ``hydra.job.num``.
        seconds: From start to end of the process.
        error: Why there may be no result, empty if there is no sign of trouble.
        log: What the trial printed.
        returned: What the trial returned; a stand-in if its process died.
    """

    number: int
    seconds: float
    error: str
    log: Path
    returned: JobReturn


class _Running:
    """A process with a trial in it."""

    def __init__(self, config: DictConfig, slot: Slot, shared: bytes) -> None:
        self.number = int(config.hydra.job.num)
        self.slot = slot
        self.log = _folder(config) / "output.log"
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = f"{self.log.parent} cannot be made: {error.strerror}"
            raise LaunchError(f"hydra.sweep.subdir must name a folder, {reason}") from error
        self.answer: bytes | None = None  # None: not there yet; empty: the process died silent
        self.began = time.monotonic()
        self.inbox, outbox = connection.Pipe(duplex=False)
        job = Job(shared=shared, config=cloudpickle.dumps(config), env=slot.env, log=self.log)
        self.process = _CONTEXT.Process(target=work, args=(job, outbox))
        try:
            self.process.start()
        except (EOFError, OSError) as error:
            raise LaunchError(
                f"no process could be started for a trial ({type(error).__name__}: {error})"
            ) from error
        outbox.close()  # so that the end of the process is the end of the pipe

    def listen(self) -> None:
        """Take the answer if it is there; a large one blocks the process until it is taken."""
        if self.answer is None and self.inbox.poll():
            try:
                self.answer = self.inbox.recv_bytes()
            except (EOFError, OSError):  # the process died before or while it answered
                self.answer = b""

    def job_result(self) -> JobResult:
        """Return how the process ended, once it is gone, and free what it held here."""
        self.listen()
        self.process.join()
        returned, error = _read_answer(self.answer or b"", int(self.process.exitcode or 0))
        self.inbox.close()
        self.process.close()
        seconds = time.monotonic() - self.began
        return JobResult(
            number=self.number, seconds=seconds, error=error, log=self.log, returned=returned
        )


def start_server(preload: Sequence[str], threads: int) -> None:
    """Start the process that trials are forked from; it imports ``preload`` meanwhile.

    It has never run anything and holds no GPU, so what is forked from it starts clean and at
    once. The thread settings have to be there before torch loads.
    """
    forkserver.set_forkserver_preload([work.__module__, *preload])
    passive = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")
    with _environment({"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": passive}):
        forkserver.ensure_running()


def jobs_from(configs: Sequence[DictConfig]) -> NextJob:
    """Return what hands out ``configs`` one after the other."""
    waiting = deque(configs)
    return lambda: waiting.popleft() if waiting else None


def run_jobs(
    next_job: NextJob,
    slots: Sequence[Slot],
    shared: bytes,
    on_end: Callable[[JobResult], None],
) -> None:
    """Run one process per configuration, as many at a time as there are slots.

    A process that dies costs its own trial only. Leaving early, by Ctrl-C or an error of
    ``on_end``, ends the processes that still run.

    Args:
        next_job: Called for a configuration whenever a slot is free and something changed; the
            jobs are over when it has none and nothing runs.
        slots: Where to run, one job at a time in each.
        shared: What :func:`erasure.launch.worker.pack` returned.
        on_end: Called with each process that ended.
    """
    free = deque(slots)
    running: list[_Running] = []
    try:
        with _terminated_like_interrupted():
            while True:
                # free first: asking may claim a trial, which then had to wait for a slot
                while free and (config := next_job()) is not None:
                    running.append(_Running(config, free.popleft(), shared))
                if not running:
                    return
                for ended in _ended(running):
                    running.remove(ended)
                    free.append(ended.slot)  # before on_end, which may raise
                    on_end(ended.job_result())
    finally:
        _stop(running)


def _folder(config: DictConfig) -> Path:
    with hydra_sees(config):
        return Path(str(config.hydra.sweep.dir), str(config.hydra.sweep.subdir)).absolute()


def _ended(running: Sequence[_Running]) -> list[_Running]:
    """Wait until something happens and return those whose process is gone."""
    # Both, because a process blocks on a large answer until it is read, and may die without one
    inboxes = [job.inbox for job in running if job.answer is None]
    ready = connection.wait([*inboxes, *(job.process.sentinel for job in running)])
    for job in running:
        job.listen()
    return [job for job in running if job.process.sentinel in ready]


def _read_answer(answer: bytes, exit_code: int) -> tuple[JobReturn, str]:
    if answer:
        returned, error = pickle.loads(answer)
        return returned, error
    error = f"the worker died ({_describe_exit(exit_code)})"
    stand_in = JobReturn(status=JobStatus.FAILED)
    stand_in.return_value = RuntimeError(error)
    return stand_in, error


def _describe_exit(exit_code: int) -> str:
    if exit_code >= 0:
        return f"exit code {exit_code}"
    name = signal.Signals(-exit_code).name
    return f"{name}, out of memory?" if name == "SIGKILL" else name


def _stop(running: Sequence[_Running]) -> None:
    for trial in running:
        trial.process.terminate()
    deadline = time.monotonic() + PATIENCE
    for trial in running:
        trial.process.join(max(0.0, deadline - time.monotonic()))
        trial.process.kill()
        trial.process.join()


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that no process is left behind by a plain ``kill``."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
