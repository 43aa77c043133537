"""A trial carried out and recorded, once: read back if it is there, else run and written down."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from rich.console import Console
from rich.text import Text

from erasure.core.errors import ConfigError, DivergedError, ErasureError, PrunedError
from erasure.evaluation.pictures import write_pictures
from erasure.results.delivery import deliver, open_run
from erasure.results.outage import attempt, probe
from erasure.results.record import TrialRecord, TrialResult
from erasure.results.store import ResultStore
from erasure.results.tracker import Tracker
from erasure.training.model_store import ModelStore
from erasure.trial.artifacts import (
    write_config,
    write_measurements,
    write_memorization,
    write_model,
    write_split,
)
from erasure.trial.places import build_tracker, store_root
from erasure.trial.progress import Monitor, Progress
from erasure.trial.run import TrialOutput, run_trial
from erasure.trial.trial import DATA_TAG, Trial
from erasure.trial.why import outdated, why_again


@dataclass(frozen=True, kw_only=True)
class TrialStores:
    """Where a trial takes models from and where its result goes to.

    Args:
        store: The trained models.
        results: The results on disk.
        tracker: Shows results to people.
        console: The terminal.
        keep_model: Whether the unlearned weights are kept whatever the tracker says.
    """

    store: ModelStore
    results: ResultStore
    tracker: Tracker
    console: Console
    keep_model: bool = False

    @classmethod
    def of(cls, trial: Trial, console: Console, *, keep_model: bool = False) -> "TrialStores":
        """Build all that ``trial`` names."""
        root = store_root(trial.settings)
        return cls(
            store=ModelStore(root),
            results=ResultStore(root),
            tracker=build_tracker(trial.settings),
            console=console,
            keep_model=keep_model,
        )

    def check(self) -> None:
        """Refuse what cannot work, before anything is trained.

        The sweep of a trial asked its tracker before; what fails since is an outage, through which
        trials go on.

        Raises:
            ConfigError: With one message that names the setting and what is allowed.
        """
        _refuse("store", self.store.check)
        if self.tracker.parent:
            probe(self.tracker)
        else:
            _refuse("tracking", self.tracker.check)


def _refuse(group: str, check: Callable[[], None]) -> None:
    """Put the path of the group in front of an error that starts with the name of a setting."""
    try:
        check()
    except ConfigError as error:
        raise ConfigError(f"{group}.{error}") from error


def run_recorded(trial: Trial, stores: TrialStores, monitor: Monitor | None = None) -> TrialResult:
    """Return the result of a trial: read back if it finished before, else carried out.

    Args:
        trial: The trial.
        stores: Where its result goes to.
        monitor: Hears of the method while it runs, and may end it.

    Raises:
        ErasureError: If the trial failed; it is recorded as failed first.
    """
    # A second process with the same trial waits here and then reads the result back
    with stores.results.claim(trial.fingerprint):
        result = _read_back(trial, stores) if trial.settings["resume"] else None
        return result or _carry_out(trial, stores, monitor)


def _read_back(trial: Trial, stores: TrialStores) -> TrialResult | None:
    """Return the result of an earlier run if it is what ``trial`` asks for, and say why if not."""
    results, tracker, console = stores.results, stores.tracker, stores.console
    record, parent = trial.record, trial.parent
    result = results.finished(record.fingerprint)
    if result is None:
        reason = why_again(record, results, same_settings=bool(parent))
    else:
        reason = outdated(result, trial.data.fingerprint, results, trial.settings)
    if reason:
        console.print(Text(reason), soft_wrap=True)  # a setting's [1] is no markup
    if result is None or reason:
        return None
    console.print("this trial finished before and is read back; resume=false runs it again")
    if not parent:
        attempt(tracker, tracker.prepare, None)
    # during an outage a run is where it was: nothing is sent twice because nobody could be asked
    if result.run and attempt(tracker, partial(tracker.has, result.run), otherwise=True):
        return result
    # the tracker does not hold the run that it names: another is looked for or opened
    return deliver(tracker, results, replace(result, run=""), parent=parent)


def _carry_out(trial: Trial, stores: TrialStores, monitor: Monitor | None) -> TrialResult:
    results, tracker, record, parent = stores.results, stores.tracker, trial.record, trial.parent
    results.forget(record.fingerprint)
    tracking_run = open_run(tracker, record, parent, results.is_claimed)
    progress = Progress(stores.console)
    started = time.time()

    def save(result: TrialResult) -> TrialResult:
        """Write to disk first and deliver then: a server that is down costs no result."""
        timed = replace(result, started=started, ended=time.time())
        results.save(timed)
        return deliver(tracker, results, timed, tracking_run, parent)

    try:
        output = run_trial(trial, stores.store, progress, monitor)
        _write_artifacts(trial, stores, output, progress)
        result = _result(trial, output, progress)
    except BaseException as error:  # Ctrl-C and exits as well: a trial that ended is recorded
        save(_failed(record, error))
        raise
    saved = save(result)
    if saved.outcome != "finished":
        raise ErasureError(saved.reason)
    return saved


def _write_artifacts(
    trial: Trial, stores: TrialStores, output: TrialOutput, progress: Progress
) -> None:
    folder = stores.results.artifacts(trial.fingerprint)
    with progress.stage("record", "writing pictures and tables"):
        write_config(folder, trial.settings)
        write_measurements(folder, output.ctx, output.evaluation)
        if trial.settings["pictures"]:
            write_pictures(output.ctx, progress.curves, folder)
        write_split(folder, trial)
        write_memorization(folder, output.ctx.references, output.splits.train)
        if stores.keep_model or trial.settings["tracking"].get("save_model"):
            write_model(folder, output.ctx.models["unlearned"])


def _result(trial: Trial, output: TrialOutput, progress: Progress) -> TrialResult:
    errors = output.evaluation.errors
    tags = {f"store.{role}": key for role, key in output.keys.items()}
    tags[DATA_TAG] = trial.data.fingerprint
    return TrialResult(
        trial=replace(trial.record, tags={**trial.record.tags, **tags}),
        outcome="failed" if errors else "finished",
        reason="; ".join(errors),
        traceback="\n".join(output.evaluation.tracebacks),
        metrics=output.evaluation.flat(),
        curves=progress.curves,
        seconds=progress.seconds,
        trained=output.trained,
    )


def _failed(record: TrialRecord, error: BaseException) -> TrialResult:
    return TrialResult(
        trial=record,
        outcome=_outcome(error),
        reason=str(error) or type(error).__name__,
        traceback="".join(traceback.format_exception(error)),
    )


def _outcome(error: BaseException) -> Literal["failed", "diverged", "pruned"]:
    if isinstance(error, PrunedError):
        return "pruned"
    return "diverged" if isinstance(error, DivergedError) else "failed"
