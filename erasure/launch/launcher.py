"""What the loop of a sweep asks of a launcher, and the simplest one: in this process."""

import gc
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from textwrap import shorten
from typing import Any, ClassVar, Protocol, TypeAlias

from rich.console import Console

from erasure.launch.interrupts import Stop, patient
from erasure.launch.jobs import Job, JobResult
from erasure.launch.run import Run

LONGEST_REASON = 240
"""Characters of an error; launchers append whole logs to theirs."""

OnEnd: TypeAlias = Callable[[Run, JobResult], None]
"""Called with each run that ended, and how its process did; the result is looked up elsewhere."""

ToJob: TypeAlias = Callable[[Run, str], Job]
"""Returns what a process has to do for a run below a tracking run."""


@dataclass(frozen=True, kw_only=True)
class LaunchRequest:
    """The runs of a sweep, as a launcher takes them.

    Args:
        next_run: Returns a run to carry out, or None if there is none now; called whenever there
            is room for one.
        on_end: Called with each run that ended.
        like: Examples of the runs to come.
        tracking_run: The tracking run of the sweep, below which runs are tracked.
        batch: Most runs to take at once, for launchers that take many; None is all there are.
    """

    next_run: Callable[[], Run | None]
    on_end: OnEnd
    like: Sequence[Run]
    tracking_run: str
    batch: int | None = None


class Launcher(Protocol):
    """Carries out the runs of a sweep somewhere; what came of them is not for it to say."""

    @property
    def takes_all(self) -> bool:
        """Whether it takes many runs at once, so that a sweep cannot end between two."""

    def warm_up(self, like: Sequence[Run]) -> None:
        """Begin to get ready for runs like these; return at once."""

    def run(self, request: LaunchRequest) -> None:
        """Carry out runs as long as there are any."""


@dataclass(frozen=True, kw_only=True)
class InProcess:
    """Carries out one run after the other in this process.

    Args:
        call: Carries out the payload of a job; what it returns is ignored.
        to_job: Makes a job of a run.
    """

    call: Callable[[Any], Any]
    to_job: ToJob
    takes_all: ClassVar[bool] = False

    def warm_up(self, like: Sequence[Run]) -> None:
        """Do nothing: what runs need is here."""

    def run(self, request: LaunchRequest) -> None:
        """Carry out runs; one that exits does not take others along."""
        if gc.get_freeze_count() == 0:  # else what was imported is searched for garbage always
            gc.collect()
            gc.freeze()
        while (run := request.next_run()) is not None:
            began = time.monotonic()
            error = "it ended without a result"
            try:
                self.call(self.to_job(run, request.tracking_run).payload)
            except (Exception, SystemExit) as raised:  # noqa: BLE001  # whatever the trial raised
                error = error_line(raised)
            seconds = time.monotonic() - began
            request.on_end(run, JobResult(number=run.number, seconds=seconds, error=error))


def patience(launcher: Launcher, stop: Stop, console: Console) -> AbstractContextManager[object]:
    """Let the first Ctrl-C wait for the trials that run, if none of them hears of it as well."""
    return nullcontext() if launcher.takes_all else patient(stop, console)


def error_line(error: BaseException) -> str:
    """Return kind and message of an error in one short line."""
    return shorten(f"{type(error).__name__}: {error}", LONGEST_REASON, placeholder=" ...")
