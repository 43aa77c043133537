"""Where a trial is carried out and recorded, once."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from omegaconf import DictConfig
from rich.console import Console
from rich.text import Text

from erasure.core.errors import ConfigError, DivergedError, ErasureError, PrunedError
from erasure.evaluation.pictures import write_pictures
from erasure.results.delivery import deliver
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
from erasure.trial.assemble import assemble, build_tracker, store_root
from erasure.trial.output import TrialOutput
from erasure.trial.progress import Progress
from erasure.trial.trial import DATA_TAG, Trial
from erasure.trial.why import outdated, why_again

Story = Callable[[Trial, ModelStore, Progress], TrialOutput]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A trial with everything it is made of, and the places its result goes to."""

    cfg: DictConfig
    trial: TrialRecord
    parts: Trial
    store: ModelStore
    ledger: ResultStore
    tracker: Tracker
    console: Console

    @classmethod
    def of(cls, cfg: DictConfig, trial: TrialRecord, console: Console) -> "Bench":
        """Build everything and refuse what cannot work, before anything is trained.

        Raises:
            ErasureError: With one message that names the setting and what is allowed.
        """
        tracker = build_tracker(cfg)
        root = store_root(cfg)
        store = ModelStore(root)
        parts = assemble(cfg)
        for name, check in (("store", store.check), ("tracking", tracker.check)):
            try:
                check()
            except ConfigError as error:
                raise ConfigError(f"{name}.{error}") from error
        return cls(
            cfg=cfg,
            trial=trial,
            parts=parts,
            store=store,
            ledger=ResultStore(root),
            tracker=tracker,
            console=console,
        )

    def result(self, story: Story) -> TrialResult:
        """Return the result of the trial: read back if it finished before, else carried out.

        Raises:
            ErasureError: If the trial failed; it is recorded as failed first.
        """
        with self.ledger.claim(self.trial.fingerprint):
            found = self._read_back() if self.cfg.resume else None
            return found or self._carry_out(story)

    def _read_back(self) -> TrialResult | None:
        found = self.ledger.finished(self.trial.fingerprint)
        if found is None:
            in_sweep = bool(self.cfg.tracking.get("parent"))
            reason = why_again(self.trial, self.ledger, same_settings=in_sweep)
        else:
            reason = outdated(found, self.parts.source, self.ledger, self.cfg)
        if reason:
            self.console.print(Text(reason), soft_wrap=True)  # a setting's [1] is no markup
        if found is None or reason:
            return None
        self.console.print(
            "this trial finished before and is read back; resume=false runs it again"
        )
        self.tracker.prepare()
        if found.run and self.tracker.has(found.run):
            return found
        parent = str(self.cfg.tracking.get("parent") or "")
        return deliver(self.tracker, self.ledger, replace(found, run=""), parent=parent)

    def _carry_out(self, story: Story) -> TrialResult:
        parent = str(self.cfg.tracking.get("parent") or "")
        if not parent:  # a sweep does this once for all its trials
            self.tracker.prepare()
            self.tracker.reap(self.ledger.is_claimed)
        self.ledger.forget(self.trial.fingerprint)
        run = self.tracker.start(self.trial, parent=parent)
        watch = Progress(self.console)
        begun = time.time()
        try:
            result = self._written(story(self.parts, self.store, watch), watch)
        except BaseException as error:
            self._record(_failed(self.trial, error), begun, run)
            raise
        recorded = self._record(result, begun, run)
        if recorded.outcome != "finished":
            raise ErasureError(recorded.reason)
        return recorded

    def _written(self, outcome: TrialOutput, watch: Progress) -> TrialResult:
        folder = self.ledger.artifacts(self.trial.fingerprint)
        with watch.stage("record", "writing pictures and tables"):
            write_config(folder, self.cfg)
            write_measurements(folder, outcome.ctx, outcome.evaluation)
            if self.cfg.pictures:
                write_pictures(outcome.ctx, watch.curves, folder)
            write_split(folder, self.parts)
            write_memorization(folder, outcome.ctx.references, outcome.splits.train)
            if self.cfg.tracking.get("save_model"):
                write_model(folder, outcome.ctx.models["unlearned"])
        errors = outcome.evaluation.errors
        keys = {f"store.{role}": key for role, key in outcome.keys.items()}
        keys[DATA_TAG] = self.parts.source
        return TrialResult(
            trial=replace(self.trial, tags={**self.trial.tags, **keys}),
            outcome="failed" if errors else "finished",
            reason="; ".join(errors),
            traceback="\n".join(outcome.evaluation.tracebacks),
            metrics=outcome.evaluation.flat(),
            curves=watch.curves,
            seconds=watch.seconds,
            trained=outcome.trained,
        )

    def _record(self, result: TrialResult, begun: float, run: str) -> TrialResult:
        timed = replace(result, started=begun, ended=time.time())
        self.ledger.save(timed)
        return deliver(self.tracker, self.ledger, timed, run)


def _failed(trial: TrialRecord, error: BaseException) -> TrialResult:
    return TrialResult(
        trial=trial,
        outcome=_outcome(error),
        reason=str(error) or type(error).__name__,
        traceback="".join(traceback.format_exception(error)),
    )


def _outcome(error: BaseException) -> Literal["failed", "diverged", "pruned"]:
    if isinstance(error, PrunedError):
        return "pruned"
    return "diverged" if isinstance(error, DivergedError) else "failed"
