"""Results on their way from the disk to the tracker; being late is no reason to fail."""

import logging
import time
from dataclasses import dataclass

from erasure.core.errors import ErasureError
from erasure.results.record import TrialResult
from erasure.results.store import ResultStore
from erasure.results.tracker import RunLostError, Tracker
from erasure.schema import tool_words

PAUSES = (1.0, 4.0)
"""Seconds between attempts."""

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


def deliver(
    tracker: Tracker, results: ResultStore, result: TrialResult, run: str = "", parent: str = ""
) -> TrialResult:
    """Send a result that is on disk and note there which run holds it.

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
    problem: ErasureError | None = None
    for pause in (0.0, *PAUSES):
        time.sleep(pause)
        try:
            # searched before one is opened: an earlier attempt may have got half of the way
            run = run or tracker.find(result) or _start(tracker, result, parent)
            tracker.finish(run, result, results.artifacts(result.trial.fingerprint))
            return results.mark_sent(result, run)
        except RunLostError as error:
            # the next attempt looks for another run, or opens one
            problem, run = error, ""
        except ErasureError as error:
            problem = error
    log.warning(
        "%s: the result is safe in %s but not tracked (%s); later, "
        "`%s --store %s --uri %s` sends it",
        result.trial.name,
        results.folder(result.trial.fingerprint),
        problem,
        " ".join(tool_words("deliver", "replay")),
        results.root.parent,
        tracker.uri,
    )
    return result


def replay(tracker: Tracker, results: ResultStore) -> Replayed:
    """Send every result that no run holds, except those of trials that are being run."""
    sent = kept = busy = 0
    for unsent in results.unsent():
        fingerprint = unsent.trial.fingerprint
        if results.is_claimed(fingerprint):
            busy += 1
            continue
        with results.claim(fingerprint):
            # read again under the lock: since the list was made, another process may have sent it
            result = results.find(fingerprint)
            if result is None or result.run:
                continue
            delivered = deliver(tracker, results, result)
        sent += bool(delivered.run)
        kept += not delivered.run
    return Replayed(sent=sent, kept=kept, busy=busy)


def _start(tracker: Tracker, result: TrialResult, parent: str) -> str:
    return tracker.start(result.trial, parent, result.started)
