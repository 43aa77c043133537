"""Where a sweep looks things up and writes things down: ledger, tracker, a folder of its own."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rich.console import Console

from erasure.config.build import build
from erasure.config.command import typed_command
from erasure.config.compose import hydra_sees
from erasure.config.overrides import Axes
from erasure.core.errors import ConfigError, TrackingError
from erasure.core.fingerprint import combine
from erasure.launch.run import Run
from erasure.results.record import TrialResult
from erasure.results.store import ResultStore
from erasure.results.tracker import Sweep, Tracker
from erasure.sweep.files import SweepSummary
from erasure.sweep.run_results import EarlierResults, Entry, finished_before
from erasure.sweep.summary import leaderboard
from erasure.training.model_store import ModelStore
from erasure.trial.artifacts import missing_artifacts
from erasure.trial.assemble import build_tracker, data_source, store_root
from erasure.trial.describe import GROUPS
from erasure.trial.objective import Objective
from erasure.trial.trial import DATA_TAG


class Summary(Protocol):
    """What is left of a sweep when it is over."""

    @property
    def run(self) -> str:
        """The tracking run of the sweep."""

    @property
    def missing(self) -> int:
        """How much has no result; with any, the run is shown as failed."""

    def write(self, folder: Path) -> None:
        """Write files into ``folder``."""

    def markdown(self) -> str:
        """Return the description of the tracking run."""


@dataclass(frozen=True, kw_only=True)
class SweepRecords:
    """The records of one sweep.

    Args:
        sweep: What is swept.
        tracker: Shows it to people.
        ledger: Where trials leave their results.
        objective: What the trials are ranked by.
        resume: Whether a trial that finished before has to run again.
        store: The store of models.
        folder: Where the summary goes; the same sweep again writes to the same folder.
    """

    sweep: Sweep
    tracker: Tracker
    ledger: ResultStore
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

    def finished_before(self, trials: Sequence[Run]) -> dict[int, Entry]:
        """Return the trials, by number, that are finished and tracked and need not run."""
        if not self.resume:
            return {}
        found = ((trial, self.ledger.finished(trial.trial.fingerprint)) for trial in trials)
        return {
            trial.number: finished_before(trial, result)
            for trial, result in found
            if result is not None
            and self.tracker.has(result.run)
            and not missing_artifacts(self.ledger.artifacts(trial.trial.fingerprint), trial.config)
            and _same_data(trial, result)
        }

    def books(self, trials: Sequence[Run]) -> EarlierResults:
        """Return the books for trials that are about to run."""
        earlier = {t.trial.fingerprint: self.ledger.find(t.trial.fingerprint) for t in trials}
        return EarlierResults(ledger=self.ledger, earlier=earlier, resume=self.resume)

    def open(self) -> str:
        """Start or continue the tracking run of the sweep and return its id.

        Two processes that start the same sweep at once on one store share a run.
        """
        self.tracker.prepare()
        self.tracker.reap(self.ledger.is_claimed)
        with self.store.lock(f"sweep-{self.sweep.fingerprint}"):
            return self.tracker.start_sweep(self.sweep)

    def report(self, entries: Sequence[Entry], run: str) -> SweepSummary:
        """Sum up ``entries``."""
        return SweepSummary(
            name=self.sweep.name,
            fingerprint=self.sweep.fingerprint,
            command=self.sweep.command,
            run=run,
            entries=entries,
            board=leaderboard(entries, self.objective),
        )

    def close(self, report: Summary, console: Console) -> None:
        """Write the summary, here and to the tracker, which does not fail a sweep."""
        report.write(self.folder)
        try:
            self.tracker.reap(self.ledger.is_claimed)
            self.tracker.finish_sweep(
                report.run, report.markdown(), self.folder, failed=report.missing
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
            run = json.loads(path.read_text())["run"]
        except (OSError, ValueError, KeyError, TypeError):
            return False  # not there, or not what we wrote: it is written anew
        return self.tracker.has(str(run))


def _same_data(planned: Run, result: TrialResult) -> bool:
    """Tell whether the data are still those that a finished trial was about."""
    if DATA_TAG not in result.trial.tags:
        return True
    with hydra_sees(planned.config):
        return result.trial.tags[DATA_TAG] == data_source(planned.config)


def open_desk(trials: Sequence[Run], axes: Axes) -> SweepRecords:
    """Build the desk of a sweep; its first trial says where the store and the tracker are.

    Args:
        trials: The trials.
        axes: What is swept.
    """
    cfg = trials[0].config
    root = store_root(cfg)
    identity = combine(sorted(trial.trial.fingerprint for trial in trials))
    return SweepRecords(
        sweep=_identity(trials, axes, identity),
        tracker=build_tracker(cfg),
        ledger=ResultStore(root),
        objective=build(cfg.objective, "objective"),
        resume=bool(cfg.resume),
        store=ModelStore(root),
        folder=root / "sweeps" / identity,
    )


def _identity(trials: Sequence[Run], axes: Axes, fingerprint: str) -> Sweep:
    command = typed_command()
    overrides = {key: _values(choices) for key, choices in axes.items()}
    space = [f"- `{key}`: {values}" for key, values in overrides.items()]
    return Sweep(
        fingerprint=fingerprint,
        name=_name(trials, axes),
        command=command,
        overrides=overrides,
        total=len(trials),
        description="\n".join([f"{len(trials)} trials", "", *space, "", "```", command, "```"]),
    )


def _name(trials: Sequence[Run], axes: Axes) -> str:
    if not axes:
        return trials[0].label
    counts = " × ".join(_counted(key, len(choices)) for key, choices in axes.items())
    datasets = dict.fromkeys(trial.trial.tags["dataset"] for trial in trials)
    return f"{counts} on {', '.join(datasets)}"


def _counted(key: str, count: int) -> str:
    plural = key in GROUPS or key == "seed"
    return f"{count} {key}s" if plural else f"{count} values of {key}"


def _values(choices: Sequence[str]) -> str:
    return ", ".join(choice.partition("=")[2] for choice in choices)


@contextmanager
def _owner(key: str) -> Iterator[None]:
    """Put the path of the group in front of an error that starts with the name of a setting."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{key}.{error}") from error
