"""What came of the trials of a sweep, read from the ledger and from nowhere else."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from erasure.launch.jobs import JobResult
from erasure.launch.run import Run
from erasure.results.record import TrialResult
from erasure.results.store import ResultStore

State = Literal["finished", "failed", "not run"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One trial in the books of a sweep.

    Args:
        planned: The trial.
        state: What became of it.
        result: Its numbers if it finished, and what is known if it failed.
        reason: Why it did not finish, in one line.
        before: Whether an earlier sweep finished it.
        seconds: Wall time it took in this sweep.
        log: What it printed, if it ran in a process of its own.
        trained: Number of models it trained in this sweep.
    """

    planned: Run
    state: State
    result: TrialResult | None = None
    reason: str = ""
    before: bool = False
    seconds: float = 0.0
    log: Path | None = None
    trained: int = 0

    @property
    def metrics(self) -> dict[str, float]:
        """The numbers of a finished trial; none of any other."""
        if self.result is None or self.state != "finished":
            return {}
        return dict(self.result.metrics)


def finished_before(planned: Run, result: TrialResult) -> Entry:
    """Enter a trial that does not have to run."""
    return Entry(planned=planned, state="finished", result=result, before=True)


@dataclass(frozen=True, kw_only=True)
class EarlierResults:
    """Compares the ledger before a sweep with the ledger after it.

    Args:
        ledger: Where trials leave their results.
        earlier: Results by fingerprint that were there when the sweep started.
        resume: Whether a finished result of earlier counts.
    """

    ledger: ResultStore
    earlier: dict[str, TrialResult | None]
    resume: bool

    def enter(self, planned: Run, ending: JobResult | None, error: str = "") -> Entry:
        """Enter a trial that was given to a launcher.

        Args:
            planned: The trial.
            ending: How its process ended, if the launcher says.
            error: What else is known, if it does not; empty for a trial that never started.
        """
        result = self._result(planned.trial.fingerprint)
        seconds = ending.seconds if ending else _seconds(result)
        log = ending.log if ending else None
        if result is not None and result.outcome == "finished":
            return Entry(
                planned=planned,
                state="finished",
                result=result,
                seconds=seconds,
                log=log,
                trained=0 if self._is_earlier(result) else result.trained,
            )
        known = result.reason if result is not None else ""
        reason = known or (ending.error if ending else "") or error
        if not reason and ending is None:
            return Entry(planned=planned, state="not run", reason="not run")
        return Entry(
            planned=planned,
            state="failed",
            result=result,
            reason=reason or "it ended without a result",
            seconds=seconds,
            log=log,
        )

    def _result(self, fingerprint: str) -> TrialResult | None:
        """Return the result of this sweep, not what an earlier failure left behind."""
        result = self.ledger.find(fingerprint)
        stale = result is not None and self._is_earlier(result)
        kept = self.resume and result is not None and result.outcome == "finished"
        return None if stale and not kept else result

    def _is_earlier(self, result: TrialResult) -> bool:
        earlier = self.earlier[result.trial.fingerprint]
        return earlier is not None and result.ended == earlier.ended


def _seconds(result: TrialResult | None) -> float:
    return result.ended - result.started if result is not None else 0.0
