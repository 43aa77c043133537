"""What came of the runs of a sweep, read from the results on disk and from nowhere else."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from erasure.launch.jobs import JobResult
from erasure.launch.run import Run
from erasure.results.record import TrialResult
from erasure.results.store import ResultStore

State = Literal["finished", "failed", "not run"]


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What came of one run of a sweep.

    Args:
        run: The run.
        state: What became of it.
        result: Its numbers if it finished, and what is known if it failed.
        reason: Why it did not finish, in one line.
        read_back: Whether an earlier sweep finished it.
        seconds: Wall time it took in this sweep.
        log: What it printed, if it ran in a process of its own.
        trained: Number of models it trained in this sweep.
        died: Whether it has no result because its process died or a launcher gave up.
    """

    run: Run
    state: State
    result: TrialResult | None = None
    reason: str = ""
    read_back: bool = False
    seconds: float = 0.0
    log: Path | None = None
    trained: int = 0
    died: bool = False

    @property
    def metrics(self) -> dict[str, float]:
        """The numbers of a finished run; none of any other."""
        if self.result is None or self.state != "finished":
            return {}
        return dict(self.result.metrics)


@dataclass(frozen=True, kw_only=True)
class EarlierResults:
    """Compares the results on disk before a sweep with those after it.

    A launcher's word is not trusted: a run has finished if its result is there, and only a result
    that was not there before can come from this sweep.

    Args:
        results: Where trials leave their results.
        earlier: Results by fingerprint that were there when the sweep started.
        resume: Whether a finished result of earlier counts.
    """

    results: ResultStore
    earlier: dict[str, TrialResult | None]
    resume: bool

    def run_result(self, run: Run, job_result: JobResult | None) -> RunResult:
        """Return what came of a run that was given to a launcher.

        Args:
            run: The run.
            job_result: How its process ended; None if nobody said that it did.
        """
        result = self._result(run.record.fingerprint)
        measured = job_result.seconds if job_result else None
        seconds = _seconds(result) if measured is None else measured
        log = job_result.log if job_result else None
        if result is not None and result.outcome == "finished":
            return RunResult(
                run=run,
                state="finished",
                result=result,
                seconds=seconds,
                log=log,
                trained=0 if self._is_earlier(result) else result.trained,
            )
        recorded_reason = result.reason if result is not None else ""
        reason = recorded_reason or (job_result.error if job_result else "")
        if not reason and job_result is None:
            return RunResult(run=run, state="not run", reason="not run")
        return RunResult(
            run=run,
            state="failed",
            result=result,
            reason=reason or "it ended without a result",
            seconds=seconds,
            log=log,
            # a result that was written down says more than the end of the process
            died=result is None and job_result is not None and job_result.died,
        )

    def _result(self, fingerprint: str) -> TrialResult | None:
        """Return the result of this sweep, not what an earlier failure left behind."""
        result = self.results.find(fingerprint)
        stale = result is not None and self._is_earlier(result)
        kept = self.resume and result is not None and result.outcome == "finished"
        return None if stale and not kept else result

    def _is_earlier(self, result: TrialResult) -> bool:
        # by its end: delivering a result later rewrites the file, but not when the trial ended
        earlier = self.earlier[result.trial.fingerprint]
        return earlier is not None and result.ended == earlier.ended


def _seconds(result: TrialResult | None) -> float:
    return result.ended - result.started if result is not None else 0.0
