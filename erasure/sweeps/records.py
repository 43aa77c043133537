"""The records of a sweep: results on disk, the tracker, and a folder of its own."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.text import Text

from erasure.core.errors import ConfigError, TrackingError
from erasure.launch.run import Run
from erasure.results.outage import attempt, outage, remember
from erasure.results.record import TrialResult
from erasure.results.store import ResultStore
from erasure.results.tracker import Sweep, Tracker
from erasure.sweeps.files import SummaryTable, SweepSummary
from erasure.sweeps.run_results import EarlierResults, RunResult
from erasure.sweeps.undelivered import Undelivered
from erasure.training.model_store import ModelStore
from erasure.trial.artifacts import missing_artifacts
from erasure.trial.data import current_data_fingerprint
from erasure.trial.objective import Objective
from erasure.trial.places import build_tracker, store_root
from erasure.trial.table import show_address
from erasure.trial.trial import DATA_TAG, Trial


@dataclass(frozen=True, kw_only=True)
class SweepRecords:
    """The records of one sweep.

    Args:
        sweep: What is swept.
        tracker: Shows it to people.
        results: Where trials leave their results.
        objective: What the trials are ranked by.
        resume: Whether a trial that finished before has to run again.
        store: The store of models.
        folder: Where the summary goes; the same sweep again writes to the same folder.
    """

    sweep: Sweep
    tracker: Tracker
    results: ResultStore
    objective: Objective
    resume: bool
    store: ModelStore
    folder: Path

    def check(self) -> None:
        """Refuse a tracker or store that cannot be used.

        Raises:
            ConfigError: With one message that names the setting.
        """
        with _owner("tracking"):
            self.tracker.check()
        with _owner("store"):
            self.store.check()

    def finished_before(self, runs: Sequence[Run]) -> dict[int, RunResult]:
        """Return the runs, by number, that are finished and need not run again.

        One that waits to be tracked is among them: :meth:`deliver` sends it. During an outage the
        tracker is not asked, and what it held before counts.
        """
        if not self.resume:
            return {}
        results = ((run, self.results.finished(run.record.fingerprint)) for run in runs)
        finished = {
            run.number: RunResult(run=run, state="finished", result=result, read_back=True)
            for run, result in results
            if result is not None and self._counts(run, result)
        }
        if self.tracker.uri:
            self._undelivered.add(finished.values())
        return finished

    def _counts(self, run: Run, result: TrialResult) -> bool:
        """Tell whether a finished result is what ``run`` asks for; loading the data comes last."""
        artifacts = self.results.artifacts(run.record.fingerprint)
        return (
            self._is_tracked(result)
            and not missing_artifacts(artifacts, run.trial.settings)
            and _same_data(run, result)
        )

    def _is_tracked(self, result: TrialResult) -> bool:
        """Tell whether a result needs no process to be tracked: it is, or waits to be sent."""
        if not result.run:
            return True
        return attempt(self.tracker, partial(self.tracker.has, result.run), otherwise=True)

    def earlier_results(self, runs: Sequence[Run]) -> EarlierResults:
        """Return what is there of ``runs`` that are about to be carried out."""
        fingerprints = [run.record.fingerprint for run in runs]
        earlier = {fingerprint: self.results.find(fingerprint) for fingerprint in fingerprints}
        return EarlierResults(results=self.results, earlier=earlier, resume=self.resume)

    def open(self) -> str:
        """Start or continue the tracking run of the sweep and return its id.

        Two processes that start the same sweep at once on one store share a run. During an outage
        it is a name that stands for the run until :meth:`deliver` can open it.
        """
        try:
            self.tracker.prepare()
            self.tracker.reap(self.results.is_claimed)
            with self.store.lock(f"sweep-{self.sweep.fingerprint}"):
                return self.tracker.start_sweep(self.sweep)
        except TrackingError as error:
            remember(self.tracker, error)
            return self._undelivered.unopened

    def deliver(
        self, run_results: Sequence[RunResult], tracking_run: str
    ) -> tuple[list[RunResult], str]:
        """Send what an outage left behind, if tracking works again.

        Returns:
            The results with the runs that hold them, and the run of the sweep.
        """
        tracking_run = self._undelivered.send(tracking_run, self.open)
        return self._undelivered.updated(run_results), tracking_run

    @property
    def _undelivered(self) -> Undelivered:
        return Undelivered(
            tracker=self.tracker, results=self.results, fingerprint=self.sweep.fingerprint
        )

    def summarize(self, table: SummaryTable, tracking_run: str) -> SweepSummary:
        """Return the summary of a sweep, of which its source says ``table``."""
        return SweepSummary(
            name=self.sweep.name,
            fingerprint=self.sweep.fingerprint,
            command=self.sweep.command,
            tracking_run=tracking_run,
            table=table,
        )

    def close(self, summary: SweepSummary, console: Console) -> None:
        """Write the summary, here and to the tracker, which does not fail a sweep."""
        # The file first: without it, or if the tracker refuses, the same command comes here again
        summary.write(self.folder)
        problem = outage(self.tracker)
        if not problem and summary.tracking_run != self._undelivered.unopened:
            try:
                self.tracker.reap(self.results.is_claimed)
                self.tracker.finish_sweep(
                    summary.tracking_run,
                    summary.markdown(),
                    self.folder,
                    failed=summary.table.missing,
                )
            except TrackingError as error:
                problem = remember(self.tracker, error)
        if problem:
            line = f"the summary is not tracked, the same command sends it: {problem}"
            console.print(Text(line, style="yellow"), soft_wrap=True)

    def show_tracking(self, console: Console, tracking_run: str) -> None:
        """Print how to look at the runs, or how many results wait and what sends them."""
        show_address(self.tracker, console)
        self._undelivered.show(tracking_run, console)

    def is_closed(self) -> bool:
        """Tell whether the tracker holds the summary of this sweep."""
        path = self.folder / "sweep.json"
        try:
            tracking_run = str(json.loads(path.read_text(encoding="utf-8"))["run"])
        except (OSError, ValueError, KeyError, TypeError):
            return False  # not there, or not what we wrote: it is written anew
        unopened = tracking_run == self._undelivered.unopened
        if unopened or self._undelivered.below(tracking_run):
            return False
        return attempt(self.tracker, partial(self.tracker.has, tracking_run), otherwise=True)


def _same_data(run: Run, result: TrialResult) -> bool:
    """Tell whether the data are still those that a finished trial was about."""
    if DATA_TAG not in result.trial.tags:
        return True
    return result.trial.tags[DATA_TAG] == current_data_fingerprint(run.trial.settings)


def open_records(trial: Trial, sweep: Sweep) -> SweepRecords:
    """Build the records of ``sweep``; one of its trials says where store and tracker are."""
    root = store_root(trial.settings)
    return SweepRecords(
        sweep=sweep,
        tracker=build_tracker(trial.settings),
        results=ResultStore(root),
        objective=trial.objective,
        resume=bool(trial.settings["resume"]),
        store=ModelStore(root),
        folder=root / "sweeps" / sweep.fingerprint,
    )


@contextmanager
def _owner(key: str) -> Iterator[None]:
    """Put the path of the group in front of an error that starts with the name of a setting."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{key}.{error}") from error
