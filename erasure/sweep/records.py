"""The records of a sweep: results on disk, the tracker, and a folder of its own."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from erasure.config.build import build
from erasure.config.compose import hydra_sees
from erasure.core.errors import ConfigError, TrackingError
from erasure.launch.run import Run
from erasure.results.record import TrialResult
from erasure.results.store import ResultStore
from erasure.results.tracker import Sweep, Tracker
from erasure.sweep.files import SummaryTable, SweepSummary
from erasure.sweep.run_results import EarlierResults, RunResult
from erasure.training.model_store import ModelStore
from erasure.trial.artifacts import missing_artifacts
from erasure.trial.assemble import build_tracker, current_data_fingerprint, store_root
from erasure.trial.objective import Objective
from erasure.trial.trial import DATA_TAG


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
        """Return the runs, by number, that are finished and tracked and need not run again."""
        if not self.resume:
            return {}
        results = ((run, self.results.finished(run.record.fingerprint)) for run in runs)
        return {
            run.number: RunResult(run=run, state="finished", result=result, read_back=True)
            for run, result in results
            if result is not None and self._counts(run, result)
        }

    def _counts(self, run: Run, result: TrialResult) -> bool:
        """Tell whether a finished result is what ``run`` asks for; loading the data comes last."""
        artifacts = self.results.artifacts(run.record.fingerprint)
        with hydra_sees(run.config):
            return (
                self.tracker.has(result.run)
                and not missing_artifacts(artifacts, run.config)
                and _same_data(run, result)
            )

    def earlier_results(self, runs: Sequence[Run]) -> EarlierResults:
        """Return what is there of ``runs`` that are about to be carried out."""
        fingerprints = [run.record.fingerprint for run in runs]
        earlier = {fingerprint: self.results.find(fingerprint) for fingerprint in fingerprints}
        return EarlierResults(results=self.results, earlier=earlier, resume=self.resume)

    def open(self) -> str:
        """Start or continue the tracking run of the sweep and return its id.

        Two processes that start the same sweep at once on one store share a run.
        """
        self.tracker.prepare()
        self.tracker.reap(self.results.is_claimed)
        with self.store.lock(f"sweep-{self.sweep.fingerprint}"):
            return self.tracker.start_sweep(self.sweep)

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
        try:
            self.tracker.reap(self.results.is_claimed)
            self.tracker.finish_sweep(
                summary.tracking_run, summary.markdown(), self.folder, failed=summary.table.missing
            )
        except TrackingError as error:
            console.print(
                f"the summary is not tracked, the same command sends it: {error}",
                style="yellow",
                markup=False,
            )

    def is_closed(self) -> bool:
        """Tell whether the tracker holds the summary of this sweep."""
        path = self.folder / "sweep.json"
        try:
            tracking_run = json.loads(path.read_text(encoding="utf-8"))["run"]
        except (OSError, ValueError, KeyError, TypeError):
            return False  # not there, or not what we wrote: it is written anew
        return self.tracker.has(str(tracking_run))


def _same_data(run: Run, result: TrialResult) -> bool:
    """Tell whether the data are still those that a finished trial was about."""
    if DATA_TAG not in result.trial.tags:
        return True
    return result.trial.tags[DATA_TAG] == current_data_fingerprint(run.config)


def open_records(cfg: Any, sweep: Sweep) -> SweepRecords:
    """Build the records of ``sweep``; a configuration says where store and tracker are."""
    with hydra_sees(cfg):
        root = store_root(cfg)
        return SweepRecords(
            sweep=sweep,
            tracker=build_tracker(cfg),
            results=ResultStore(root),
            objective=build(cfg.objective, "objective"),
            resume=bool(cfg.resume),
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
