"""Jobs in processes of their own, several at a time: the parent's side."""

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection, forkserver
from pathlib import Path
from typing import Any, TypeAlias

from erasure.core.errors import ErasureError
from erasure.launch.slots import Slot
from erasure.launch.worker import pack, work

PATIENCE = 5.0
"""Seconds between asking a process to end and ending it."""

# fork would copy a CUDA context and held locks, spawn would import torch once per trial
_CONTEXT = multiprocessing.get_context("forkserver")


class LaunchError(ErasureError):
    """The machine does not let us start processes."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a process has to do.

    Args:
        number: Tells it from other jobs.
        payload: What the call is made with; any process can unpickle it.
        log: File for everything the job prints.
    """

    number: int
    payload: Any
    log: Path


NextJob: TypeAlias = Callable[[], Job | None]
"""Returns the next job to run, or None if there is none now."""


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """How a job ended; whether a run has a result is for the store to say.

    Args:
        number: That of the job.
        seconds: From start to end; None if nobody measured it.
        error: Why there may be no result, empty if there is no sign of trouble.
        log: What the job printed, if it had a process of its own.
        died: Whether its process died, or a launcher gave up, so that the error is not its own.
        returned: What the job returned or raised; a stand-in if its process died.
    """

    number: int
    seconds: float | None = None
    error: str = ""
    log: Path | None = None
    died: bool = False
    returned: Any = None


class _Running:
    """A process with a job in it."""

    def __init__(self, job: Job, slot: Slot, call: bytes) -> None:
        self.job = job
        self.slot = slot
        self.answer: bytes | None = None  # None: not there yet; empty: the process died silent
        self.began = time.monotonic()
        self.inbox, outbox = connection.Pipe(duplex=False)
        arguments = (call, pack(job.payload), slot.env, job.log, outbox)
        self.process = _CONTEXT.Process(target=work, args=arguments)
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
        return JobResult(
            number=self.job.number,
            seconds=time.monotonic() - self.began,
            error=error,
            log=self.job.log,
            died=not self.answer,
            returned=returned,
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


def jobs_from(jobs: Sequence[Job]) -> NextJob:
    """Return what hands out ``jobs`` one after the other."""
    waiting = deque(jobs)
    return lambda: waiting.popleft() if waiting else None


def run_jobs(
    next_job: NextJob,
    slots: Sequence[Slot],
    call: bytes,
    on_end: Callable[[JobResult], None],
) -> None:
    """Run one process per job, as many at a time as there are slots.

    A process that dies costs its own job only. Leaving early, by Ctrl-C or an error of
    ``on_end``, ends the processes that still run.

    Args:
        next_job: Called for a job whenever a slot is free and something changed; the jobs are
            over when it has none and nothing runs.
        slots: Where to run, one job at a time in each.
        call: What every job does with its payload, as :func:`erasure.launch.worker.pack` has it.
        on_end: Called with each process that ended.
    """
    free = deque(slots)
    running: list[_Running] = []
    try:
        with _terminated_like_interrupted():
            while True:
                # free first: asking may claim a trial, which then had to wait for a slot
                while free and (job := next_job()) is not None:
                    running.append(_Running(job, free.popleft(), call))
                if not running:
                    return
                for ended in _ended(running):
                    running.remove(ended)
                    free.append(ended.slot)  # before on_end, which may raise
                    on_end(ended.job_result())
    finally:
        _stop(running)


def _ended(running: Sequence[_Running]) -> list[_Running]:
    """Wait until something happens and return those whose process is gone."""
    # Both, because a process blocks on a large answer until it is read, and may die without one
    inboxes = [each.inbox for each in running if each.answer is None]
    ready = connection.wait([*inboxes, *(each.process.sentinel for each in running)])
    for each in running:
        each.listen()
    return [each for each in running if each.process.sentinel in ready]


def _read_answer(answer: bytes, exit_code: int) -> tuple[Any, str]:
    if answer:
        returned, error = pickle.loads(answer)
        return returned, error
    error = f"the worker died ({_describe_exit(exit_code)})"
    return RuntimeError(error), error


def _describe_exit(exit_code: int) -> str:
    if exit_code >= 0:
        return f"exit code {exit_code}"
    name = signal.Signals(-exit_code).name
    return f"{name}, out of memory?" if name == "SIGKILL" else name


def _stop(running: Sequence[_Running]) -> None:
    for each in running:
        each.process.terminate()
    deadline = time.monotonic() + PATIENCE
    for each in running:
        each.process.join(max(0.0, deadline - time.monotonic()))
        each.process.kill()
        each.process.join()


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that no process is left behind by a plain ``kill``."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what a signal does
        return
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
