"""Results on their way from the disk to the tracker; being late is no reason to fail."""

import logging
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from erasure.core.errors import ConfigError, TrackingError
from erasure.results.outage import attempt, outage, probe, remember
from erasure.results.record import TrialRecord, TrialResult
from erasure.results.store import ResultStore
from erasure.results.tracker import UNOPENED, RunLostError, Tracker
from erasure.schema import tool_words

PAUSES = (1.0, 4.0)
"""Seconds between attempts."""

LONG_ATTEMPT = 10.0
"""Seconds after which a failed attempt is the last: a locked database was waited for already."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What became of the results that no run held.

    Args:
        sent: How many were sent.
        kept: How many are still only on disk, because tracking failed.
        busy: How many were left to the process that works on their trial.
    """

    sent: int
    kept: int
    busy: int


def open_run(
    tracker: Tracker, record: TrialRecord, parent: str, is_running: Callable[[str], bool]
) -> str:
    """Open the run of a trial that begins, or return nothing if that fails: it is sent later.

    Args:
        tracker: Where to open it.
        record: The trial.
        parent: Run of the sweep, or empty for a trial by itself.
        is_running: Tells for the fingerprint of a trial whether a process works on it.

    Raises:
        ConfigError: If a trial by itself names something that cannot be used.
    """
    if not parent:  # a sweep does this once for all its trials
        attempt(tracker, tracker.prepare, None)
        attempt(tracker, partial(tracker.reap, is_running), 0)
    if parent.startswith(UNOPENED):
        return ""
    try:
        return attempt(tracker, partial(tracker.start, record, parent), "")
    except ConfigError as error:  # such as an experiment that was deleted while the sweep ran
        log.warning("the result is kept on disk and sent later: %s", error)
        return ""


def deliver(
    tracker: Tracker, results: ResultStore, result: TrialResult, run: str = "", parent: str = ""
) -> TrialResult:
    """Send a result that is on disk and note there which run holds it, or that it waits.

    A failure never leaves this function: the result stays on disk, and a warning says so.

    Args:
        tracker: Where to send it.
        results: Where it is and where its artifacts are.
        result: The result.
        run: The run that was opened for the trial; looked for or opened if empty.
        parent: Run of the sweep, for a run that must be opened.

    Returns:
        The result with the run that holds it, or ``result`` itself if it was not sent.
    """
    unopened = "the run of its sweep is not open" if parent.startswith(UNOPENED) else ""
    problem = unopened or outage(tracker)
    for pause in () if problem else (0.0, *PAUSES):
        time.sleep(pause)
        if problem and probe(tracker):
            break  # it does not answer at all: another attempt costs time and nothing else
        began = time.monotonic()
        try:
            # searched before one is opened: an earlier attempt may have got half of the way
            run = run or tracker.find(result) or _start(tracker, result, parent)
            tracker.finish(run, result, results.artifacts(result.trial.fingerprint))
            return results.mark_sent(result, run)
        except RunLostError as error:
            # the next attempt looks for another run, or opens one
            problem, run = str(error), ""
        except TrackingError as error:
            problem = remember(tracker, error)
            if time.monotonic() - began > LONG_ATTEMPT:
                break
        except ConfigError as error:
            problem = str(error)
            break  # a setting does not mend itself
    results.wait(result.trial.fingerprint, parent)
    log.warning(
        "%s: the result is safe in %s but not tracked (%s); later, `%s` sends it",
        result.trial.name,
        results.folder(result.trial.fingerprint),
        problem,
        replay_command(tracker, results),
    )
    return result


def replay_command(tracker: Tracker, results: ResultStore) -> str:
    """Return the command line that sends all results that wait."""
    command = tool_words("deliver", "replay")
    options = ["--store", str(results.root.parent), "--uri", tracker.uri]
    named = (
        ["--experiment", tracker.experiment] if tracker.experiment not in ("", "erasure") else []
    )
    return shlex.join([*command, *options, *named])


def replay(tracker: Tracker, results: ResultStore) -> Replayed:
    """Send every result that no run holds, except those of trials that are being run."""
    parents = results.waiting()
    unsent = (result.trial.fingerprint for result in results.unsent())
    return send(tracker, results, {name: _opened(parents.get(name, "")) for name in unsent})


def send(tracker: Tracker, results: ResultStore, parents: Mapping[str, str]) -> Replayed:
    """Send the results of some trials, except those that are being run.

    Args:
        tracker: Where to send them.
        results: Where they are.
        parents: The run of the sweep of each trial, or nothing, by fingerprint.
    """
    sent = kept = busy = 0
    for fingerprint, parent in parents.items():
        if results.is_claimed(fingerprint):
            busy += 1
            continue
        if outage(tracker):  # since the one before, which has said so
            kept += 1
            continue
        with results.claim(fingerprint):
            # read under the lock: another process may have sent it, or begun the trial anew
            result = results.find(fingerprint)
            if result is None or result.run:
                results.wait_no_more(fingerprint)
                continue
            delivered = deliver(tracker, results, result, parent=parent)
        sent += bool(delivered.run)
        kept += not delivered.run
    return Replayed(sent=sent, kept=kept, busy=busy)


def _opened(parent: str) -> str:
    return "" if parent.startswith(UNOPENED) else parent


def _start(tracker: Tracker, result: TrialResult, parent: str) -> str:
    return tracker.start(result.trial, parent, result.started)
