"""Ending a run of a study before its time: others did better by then, or it takes too long."""

import json
import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import optuna
from optuna.samplers import RandomSampler
from optuna.trial import Trial as OptunaTrial
from torch import nn

from erasure.core.errors import PrunedError
from erasure.core.splits import View
from erasure.core.task import Report
from erasure.training.scoring import accuracy
from erasure.trial.guards import relative_change
from erasure.trial.trial import Trial
from erasure.tuning.sampler import STEPS_PER_SEED, build_pruner, is_by_seed, quiet_optuna
from erasure.tuning.storage import SEARCH_SETTINGS, STUDY_CONFIG, open_storage

PROXIES = ("gap/avg", "tow/score")
"""Objectives that the gap of two accuracies says something about while a method runs."""


@dataclass(kw_only=True)
class PruningCallback:
    """Looks at a model whenever its method reports, and stops what is not worth going on with.

    What a study compares while a method runs is a proxy of its objective: the mean distance of
    the accuracies on forget and validation set to those of the retrained model, or one minus it
    where the objective is to be maximized. A method that works on a model of its own, and leaves
    the task's as it was, is not compared before it has finished.

    Args:
        trial: What the study knows of this trial, or None if only the time counts.
        maximize: Whether larger values are better.
        seed_index: Index of the seed among those of the trial.
        cap: Seconds the method may take, or None.
        seconds: Time spent on comparing, which is not the method's.
    """

    trial: OptunaTrial | None
    maximize: bool
    seed_index: int
    cap: float | None
    seconds: float = 0.0
    _watched: Trial | None = field(default=None, repr=False)
    _original: nn.Module | None = field(default=None, repr=False)
    _gold: Mapping[str, float] = field(default_factory=dict, repr=False)
    _began: float = 0.0

    def prepare(self, trial: Trial, original: nn.Module, gold: nn.Module) -> None:
        """Take note of what the model comes from and where it should go."""
        self._watched, self._original = trial, original
        if self.trial is not None:
            self._gold = self._accuracies(gold)
        self._began = time.perf_counter()

    @contextmanager
    def limiting(self) -> Iterator[None]:
        """End what runs in a block once its time is over, even if it never reports.

        By a signal, hence on systems that have alarms and in the main thread, where trials run.

        Raises:
            PrunedError: If the time is over.
        """
        if self.cap is None or not hasattr(signal, "SIGALRM") or not _is_main_thread():
            yield
            return

        def ring(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # the signal's
            left = self._check_time(time.perf_counter())
            # time is left because some was spent on comparing, which is not the method's
            signal.setitimer(signal.ITIMER_REAL, left)

        # A report may never come, a signal does
        before = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, self.cap)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, before)

    def watching(self, model: nn.Module, report: Report) -> Report:
        """Return a report that passes on what it hears, and then compares ``model``.

        Of several requests only the first is compared step by step: those after it report steps
        that were reported before.

        It raises :class:`~erasure.core.errors.PrunedError` where the run is to end.
        """

        def compared(step: int, of: int, **values: float) -> None:
            report(step, of, **values)
            begun = time.perf_counter()
            try:
                # begun, not now: comparing must not count against the method
                self._compare(model, step, of, begun)
            finally:
                self.seconds += time.perf_counter() - begun

        return compared

    def _compare(self, model: nn.Module, step: int, of: int, now: float) -> None:
        self._check_time(now)
        if self.trial is None or self._original is None:
            return
        if not relative_change(self._original, model):
            return  # None or 0: the method works on a model of its own
        accuracies = self._accuracies(model)
        gaps = [abs(accuracies[part] - self._gold[part]) for part in accuracies]
        distance = sum(gaps) / len(gaps)
        with quiet_optuna():
            # Optuna keeps the first value of a step: those of the seeds must not overlap
            step_in_trial = self.seed_index * STEPS_PER_SEED + _within(step, of)
            self.trial.report(1.0 - distance if self.maximize else distance, step_in_trial)
            stopped = self.trial.should_prune()
        if stopped:
            raise PrunedError(f"others did better by step {step} of {of}")

    def _check_time(self, now: float) -> float:
        """Return the seconds that are left, and end the run if there are none."""
        if self.cap is None:
            return math.inf
        spent = now - self._began - self.seconds
        if spent >= self.cap:
            raise PrunedError(f"the method took {spent:.3g} s, more than {self.cap:g} s")
        return self.cap - spent

    def _accuracies(self, model: nn.Module) -> dict[str, float]:
        if self._watched is None:
            raise RuntimeError("prepare was not called")
        pool, indices = self._watched.data.pool, self._watched.data.indices
        views = {"forget": View(pool, indices.forget), "val": View(pool, indices.val)}
        return {part: accuracy(model, view) for part, view in views.items() if len(view)}


def monitor_of(
    *,
    study: str,
    trial: int,
    store: Path,
    seed_index: int = 0,
    storage: str = "",
    max_seconds: float | None = None,
) -> PruningCallback | None:
    """Return what watches a run of a study, or None if nothing would stop it.

    Args:
        study: Name of the study.
        trial: Number of the trial in it.
        store: Folder of the store, below which studies are kept by default.
        seed_index: Index of the run's seed among those of the trial.
        storage: Where the study is; empty if nothing is compared while the method runs.
        max_seconds: Time the method may take, or None.

    Raises:
        ConfigError: If the study's storage cannot be reached.
    """
    watched, maximize = _trial(study, trial, storage, store) if storage else (None, False)
    if watched is None and max_seconds is None:
        return None
    return PruningCallback(
        trial=watched, maximize=maximize, seed_index=seed_index, cap=max_seconds
    )


def _trial(name: str, number: int, storage: str, store: Path) -> tuple[OptunaTrial | None, bool]:
    """Open the trial of a run, unless its pruner or objective has no use for what is reported."""
    with quiet_optuna():
        study = optuna.load_study(
            study_name=name, storage=open_storage(storage, store), sampler=RandomSampler(seed=0)
        )
        config: Mapping[str, Any] = json.loads(study.user_attrs[STUDY_CONFIG])
        settings: Mapping[str, Any] = json.loads(study.user_attrs[SEARCH_SETTINGS])
        study.pruner = build_pruner(settings["pruner"], len(config["seeds"]))
        (metric, direction), *others = config["objective"].items()
        if others or metric not in PROXIES or is_by_seed(study.pruner):
            return None, False
        frozen = next(t for t in study.get_trials(deepcopy=False) if t.number == number)
        # Optuna has no public way to open a running trial of another process
        return OptunaTrial(study, frozen._trial_id), direction == "maximize"


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _within(step: int, of: int) -> int:
    """Return a step within those of one seed; very many steps share some."""
    last = STEPS_PER_SEED - 1
    return step if of <= last else max(1, step * last // of)
