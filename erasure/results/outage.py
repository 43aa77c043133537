"""Whether tracking works now: an outage is noticed once, and not by every trial again."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from erasure.core.errors import ConfigError, TrackingError
from erasure.results.tracker import Tracker

RETRY_SECONDS = 60.0
"""So long after a failure a tracker is not asked for anything."""

log = logging.getLogger(__name__)

_T = TypeVar("_T")

# Of the process, because each trial in it builds a tracker of its own
_failures: dict[str, tuple[float, str]] = {}


def outage(tracker: Tracker) -> str:
    """Return why a tracker cannot be used now, or an empty string, within seconds.

    One that never failed is not asked, and one that failed a moment ago neither.
    """
    if tracker.uri not in _failures:
        return ""
    failed, reason = _failures[tracker.uri]
    return reason if time.monotonic() - failed < RETRY_SECONDS else probe(tracker)


def probe(tracker: Tracker) -> str:
    """Ask a tracker now, whatever happened before, and return what is wrong, or nothing."""
    try:
        tracker.check()
    except ConfigError as error:  # it starts with the name of the setting
        return remember(tracker, f"tracking.{error}")
    _failures.pop(tracker.uri, None)
    return ""


def remember(tracker: Tracker, error: Exception | str) -> str:
    """Note that a tracker failed and return why."""
    _failures[tracker.uri] = (time.monotonic(), str(error))
    return str(error)


def attempt(tracker: Tracker, call: Callable[[], _T], otherwise: _T) -> _T:
    """Return what ``call`` returns, or ``otherwise`` during an outage, which raises nothing.

    Args:
        tracker: Whom ``call`` asks.
        call: Uses the tracker.
        otherwise: Returned if that fails, or if nobody is asked because it failed a moment ago.

    Raises:
        ConfigError: If the settings of the tracker name something that cannot be used.
    """
    if outage(tracker):
        return otherwise
    try:
        return call()
    except TrackingError as error:
        log.warning("results are kept on disk and sent later: %s", remember(tracker, error))
        return otherwise
