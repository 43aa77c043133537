"""A study as one of its processes sees it: trials claimed, ended, and taken over from the dead."""

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from erasure.core.errors import ConfigError
from erasure.results.provenance import host, is_alive, process_tags
from erasure.tuning.conditions import draw
from erasure.tuning.plan import StudyPlan
from erasure.tuning.sampler import build_pruner, build_sampler, most_trials, quiet_optuna
from erasure.tuning.search_space import Value
from erasure.tuning.settings import StudySettings
from erasure.tuning.storage import (
    CONSTRAINTS,
    DEATHS,
    OWNER,
    REASON,
    SEARCH_SETTINGS,
    SECONDS,
    SEEN,
    STUDY_CONFIG,
)

FRESH_SECONDS = 60.0
"""A trial on a server may be so old and not yet say whose it is."""

SILENT_SECONDS = 900.0
"""A process on another machine that was not heard of for so long is dead."""


MIN_ENDED_TRIALS = 10
"""Trials a study has before the share that failed can end it."""


log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ClaimedTrial:
    """A trial that this process works on.

    Args:
        trial: The trial.
        settings: What was drawn.
    """

    trial: Trial
    settings: Mapping[str, Value]


@dataclass(frozen=True, kw_only=True)
class TrialOutcome:
    """How a trial of a study ended.

    Args:
        state: How it ended.
        values: One per objective if it is complete.
        violations: By how much each constraint is exceeded.
        reason: Why it has no values.
        seconds: Wall time of the method, mean over the seeds.
    """

    state: TrialState
    values: tuple[float, ...] = ()
    violations: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class StudyClient:
    """A study as one of the processes that work on it sees it.

    Args:
        plan: What is fixed and what is drawn.
        study: Where it is written down.
        total: Trials it has in the end.
        sampler: Builds the sampler of a trial by its number.
        shared: Whether processes without our lock may use the storage.
    """

    plan: StudyPlan
    study: optuna.Study
    total: int
    sampler: Callable[[int], BaseSampler]
    shared: bool

    def claim(self) -> ClaimedTrial | None:
        """Take over a trial whose process died, or draw a new one, or return None.

        A trial that was taken over keeps its number and what was drawn for it, so that none is
        lost, doubled or left open. Call this under the lock of the store.
        """
        with quiet_optuna():
            trials = self.study.get_trials(deepcopy=False)
            dead = next((t for t in trials if self._is_abandoned(t)), None)
            waiting = next((t for t in trials if t.state == TrialState.WAITING), None)
            if dead is None and waiting is None and len(trials) >= self.total:
                return None
            begun = dead or waiting  # a waiting one was enqueued: ask() returns it first
            self.study.sampler = self.sampler(begun.number if begun else len(trials))
            # Optuna has no public way to go on with a running trial of another process
            trial = Trial(self.study, dead._trial_id) if dead else self.study.ask()
            # whose it is before what is drawn: who dies in between leaves a trial with an owner
            trial.set_user_attr(OWNER, _this_process())
            trial.set_user_attr(SEEN, time.time())
            settings = draw(self.plan.space, trial)
        return ClaimedTrial(trial=trial, settings=settings)

    def tell(self, claimed: ClaimedTrial, outcome: TrialOutcome) -> None:
        """Write down how a trial ended."""
        trial = claimed.trial
        # a process that was thought dead may tell of a trial that another one finished since
        with quiet_optuna(), suppress(UpdateFinishedTrialError):
            # attributes first: once told, a trial is finished and takes none any more
            if math.isfinite(outcome.seconds):
                trial.set_user_attr(SECONDS, outcome.seconds)
            if outcome.reason:
                trial.set_user_attr(REASON, outcome.reason)
            if outcome.violations:
                trial.set_user_attr(CONSTRAINTS, dict(outcome.violations))
                if hasattr(trial, "set_constraint"):  # Optuna 5
                    for name, violation in outcome.violations.items():
                        trial.set_constraint(name, violation)
            values = list(outcome.values) if outcome.state == TrialState.COMPLETE else None
            self.study.tell(trial, values, state=outcome.state, skip_if_finished=True)

    def give_back(self, claimed: ClaimedTrial) -> None:
        """Leave a trial to whoever comes next, because it could not be brought to its end."""
        with suppress(UpdateFinishedTrialError):
            claimed.trial.set_user_attr(OWNER, {})

    def count_death(self, claimed: ClaimedTrial, seed_index: int) -> int:
        """Count that the process with a seed of a trial died, and return how often it did."""
        trial, index = claimed.trial, str(seed_index)
        deaths = dict(trial.user_attrs.get(DEATHS, {}))
        deaths[index] = deaths.get(index, 0) + 1
        trial.set_user_attr(DEATHS, deaths)
        return int(deaths[index])

    def heartbeat(self, claimed: ClaimedTrial) -> None:
        """Say that this process still works on a trial; a storage that fails is asked later."""
        try:
            claimed.trial.set_user_attr(SEEN, time.time())
        except UpdateFinishedTrialError:
            pass  # told since the heartbeat looked
        except Exception as error:  # noqa: BLE001  # storages raise what their databases raise
            log.warning("the storage of studies did not answer, it is asked again: %s", error)

    @property
    def trials(self) -> list[FrozenTrial]:
        """Every trial of the study, of all processes."""
        return self.study.get_trials(deepcopy=False)

    @property
    def num_ended(self) -> int:
        """Number of trials that have ended, however they did."""
        return sum(trial.state.is_finished() for trial in self.trials)

    def _is_abandoned(self, trial: FrozenTrial) -> bool:
        if trial.state != TrialState.RUNNING:
            return False
        owner: Mapping[str, str] | None = trial.user_attrs.get(OWNER)
        if owner is None:  # between ask() and the owner; under our lock only the dead stay there
            begun = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
            return not self.shared or time.time() - begun > FRESH_SECONDS
        # empty: given back. On this machine the process says it, elsewhere only its silence does
        if not owner or owner.get("erasure.host") == host():
            return not is_alive(owner)
        return time.time() - float(trial.user_attrs.get(SEEN, 0.0)) > SILENT_SECONDS


def open_study(
    plan: StudyPlan,
    storage: BaseStorage,
    settings: StudySettings,
    search_settings: Mapping[str, Any],
    *,
    shared: bool,
) -> StudyClient:
    """Create or continue the study of ``plan``; call this under the lock of the store.

    Its first trial is as near to the method's own settings as the space allows.

    Args:
        plan: What is fixed and what is drawn.
        storage: Where the study is written down.
        settings: How to search.
        search_settings: How the study is asked for, to be kept with it.
        shared: Whether processes without our lock may use the storage.

    Raises:
        ConfigError: If a study of this name optimizes something else, or in another space.
    """
    sampler, pruner = sampler_of(plan, settings), build_pruner(settings.pruner, len(plan.seeds))
    built: dict[str, Any] = {
        "study_name": plan.name,
        "storage": storage,
        "sampler": sampler(0),
        "pruner": pruner,
    }
    with quiet_optuna():
        try:
            study = optuna.load_study(**built)
        except KeyError:
            study = optuna.create_study(**built, directions=plan.objective.directions)
            study.set_metric_names(list(plan.objective.metrics))
        if STUDY_CONFIG not in study.user_attrs and not study.get_trials(deepcopy=False):
            if plan.defaults:  # enqueued first: a config that is there says that this is done
                study.enqueue_trial(plan.defaults, skip_if_exists=True)
            study.set_user_attr(STUDY_CONFIG, json.dumps(plan.study_config, sort_keys=True))
        _require_same(plan, study)
        study.set_user_attr(SEARCH_SETTINGS, json.dumps(search_settings))
    total = trials_of(plan, settings)
    return StudyClient(plan=plan, study=study, total=total, sampler=sampler, shared=shared)


def sampler_of(plan: StudyPlan, settings: StudySettings) -> Callable[[int], BaseSampler]:
    """Return what builds the sampler of a trial of ``plan`` by its number."""
    constrained = bool(plan.objective.constraints)
    return partial(build_sampler, settings.sampler, plan.space, plan.name, constrained=constrained)


def trials_of(plan: StudyPlan, settings: StudySettings) -> int:
    """Return the trials of a study; one without anything to draw needs a single one."""
    if not plan.space:
        return 1
    return most_trials(sampler_of(plan, settings)(0), settings.n_trials)


def is_hopeless(trials: Sequence[FrozenTrial], max_failures: float) -> bool:
    """Tell whether so large a share of a study failed that it ends before its time."""
    ended = [trial.state for trial in trials if trial.state.is_finished()]
    failed = ended.count(TrialState.FAIL)
    return len(ended) >= MIN_ENDED_TRIALS and failed > max_failures * len(ended)


def _require_same(plan: StudyPlan, study: optuna.Study) -> None:
    stored = json.loads(study.user_attrs.get(STUDY_CONFIG, "{}"))
    now = json.loads(json.dumps(plan.study_config))  # as JSON has it: tuples are lists there
    if stored == now:
        return
    changed = [key for key in now if stored.get(key) != now[key]]
    cause = "was begun by another program"
    if changed and stored:
        names = {"fixed": "configuration", "space": _difference(stored["space"], now["space"])}
        cause = f"was begun with another {', '.join(names.get(key, key) for key in changed)}"
    raise ConfigError(
        f"hydra.sweeper.study_name={plan.name} {cause}; its trials and new ones would not be "
        "comparable. Go back to what it was, or start a new study with "
        f"hydra.sweeper.study_name={plan.name}-2"
    )


def _difference(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    names = sorted({*before, *now})
    changed = [name for name in names if before.get(name) != now.get(name)]
    return f"search space ({', '.join(changed)})"


def _this_process() -> dict[str, str]:
    tags = process_tags()
    return {key: tags[key] for key in ("erasure.host", "erasure.pid", "erasure.born")}
