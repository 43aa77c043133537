"""Ctrl-C in two steps: first finish what runs, then stop at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from rich.console import Console


@dataclass
class Stop:
    """Why nothing new is started, empty as long as something is."""

    reason: str = ""


@contextmanager
def patient(console: Console) -> Iterator[Stop]:
    """Turn the first Ctrl-C of a block into a wish, and the second into KeyboardInterrupt."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread hears of Ctrl-C
        return

    def first(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # the signal's
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop.reason = "interrupted"
        console.print("finishing the trials that run; Ctrl-C again stops at once", style="yellow")

    before = signal.signal(signal.SIGINT, first)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
