"""How long the tests wait for others: as long as it takes, unless something hangs."""

import time
from collections.abc import Callable

HANGS = 600
"""Seconds after which a process or an event is given up; no test fails by being slow."""


def wait_until(happened: Callable[[], object], what: str = "the event") -> None:
    """Return as soon as ``happened()`` is true.

    Raises:
        AssertionError: If it still is not when anything that works would have been done.
    """
    given_up = time.monotonic() + HANGS
    while not happened():
        if time.monotonic() > given_up:
            raise AssertionError(f"{what} did not come within {HANGS} s")
        time.sleep(0.02)
