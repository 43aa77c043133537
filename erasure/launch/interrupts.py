"""When a sweep starts nothing new: its hours are over, something failed, or Ctrl-C."""

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from rich.console import Console

from erasure.core.errors import ConfigError

INTERRUPTED = "interrupted"
FIRST_FAILURE = "stopped at the first failure (hydra.sweeper.stop_at_first_failure)"


@dataclass
class Stop:
    """Why nothing new is started.

    Args:
        deadline: Value of :func:`time.monotonic` after which nothing is.
        at_first_failure: Whether nothing is once something failed.
        reason: Empty as long as something is.
    """

    deadline: float = math.inf
    at_first_failure: bool = False
    reason: str = ""

    @classmethod
    def after(cls, hours: float | None, *, at_first_failure: bool = False) -> "Stop":
        """Return a stop that is due in so many hours from now, or never.

        Raises:
            ConfigError: If a value is not allowed.
        """
        check_time("max_hours", hours)
        if not isinstance(at_first_failure, bool):
            raise ConfigError(
                "hydra.sweeper.stop_at_first_failure must be true or false, "
                f"got {at_first_failure!r}"
            )
        deadline = math.inf if hours is None else time.monotonic() + 3600 * hours
        return cls(deadline=deadline, at_first_failure=at_first_failure)

    @property
    def may_come(self) -> bool:
        """Whether it is ever due without Ctrl-C."""
        return self.at_first_failure or self.deadline < math.inf

    def is_due(self) -> bool:
        """Tell whether nothing new is to be started; once due, it stays so."""
        if not self.reason and time.monotonic() > self.deadline:
            self.reason = "hydra.sweeper.max_hours is over"
        return bool(self.reason)

    def hear_of_failure(self) -> None:
        """Take note that something failed, which ends a sweep that wants no more of it."""
        if self.at_first_failure:
            self.reason = self.reason or FIRST_FAILURE


@contextmanager
def patient(stop: Stop, console: Console) -> Iterator[None]:
    """Turn the first Ctrl-C of a block into a stop, and the second into KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread hears of Ctrl-C
        return

    def first(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # the signal's
        # first of all: from here on Ctrl-C raises, even while this handler prints
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop.reason = INTERRUPTED
        console.print("finishing the trials that run; Ctrl-C again stops at once", style="yellow")

    before = signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def check_time(name: str, value: object) -> None:
    """Refuse what is neither None nor a positive number.

    Raises:
        ConfigError: The message names ``hydra.sweeper.<name>``.
    """
    if value is not None and not _is_positive(value):
        raise ConfigError(f"hydra.sweeper.{name} must be null or > 0, got {value!r}")


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
