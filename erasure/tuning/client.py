"""The trials of one study: claimed, told, and taken over from processes that died."""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from erasure.core.errors import ConfigError
from erasure.results.provenance import host, is_alive, process_tags
from erasure.tuning.notes import (
    CONSTRAINTS,
    FACTS,
    NOTES,
    OWNER,
    REASON,
    SECONDS,
    SEEN,
)
from erasure.tuning.plan import StudyPlan
from erasure.tuning.sampler import quiet_optuna
from erasure.tuning.search_space import Value

FRESH_SECONDS = 60.0
"""A trial on a server may be so old and not yet say whose it is."""

SILENT_SECONDS = 900.0
"""A process on another machine that was not heard of for so long is dead."""


@dataclass(frozen=True, kw_only=True)
class ClaimedTrial:
    """A trial that this process works on.

    Args:
        trial: The trial.
        settings: What was drawn.
        taken_over: Whether another process began it and died.
    """

    trial: Trial
    settings: Mapping[str, Value]
    taken_over: bool


@dataclass(frozen=True, kw_only=True)
class TrialOutcome:
    """What a study is told about a trial.

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
            known = dead or waiting
            self.study.sampler = self.sampler(known.number if known else len(trials))
            trial = Trial(self.study, dead._trial_id) if dead else self.study.ask()
            trial.set_user_attr(OWNER, _myself())
            trial.set_user_attr(SEEN, time.time())
            space = self.plan.space
            settings = {name: axis.suggest(trial, name) for name, axis in space.items()}
        return ClaimedTrial(trial=trial, settings=settings, taken_over=dead is not None)

    def tell(self, claim: ClaimedTrial, verdict: TrialOutcome) -> None:
        """Write down how a trial ended."""
        trial = claim.trial
        with quiet_optuna():
            if math.isfinite(verdict.seconds):
                trial.set_user_attr(SECONDS, verdict.seconds)
            if verdict.reason:
                trial.set_user_attr(REASON, verdict.reason)
            if verdict.violations:
                trial.set_user_attr(CONSTRAINTS, dict(verdict.violations))
                if hasattr(trial, "set_constraint"):
                    for name, violation in verdict.violations.items():
                        trial.set_constraint(name, violation)
            values = list(verdict.values) if verdict.state == TrialState.COMPLETE else None
            self.study.tell(trial, values, state=verdict.state, skip_if_finished=True)

    def release(self, claim: ClaimedTrial) -> None:
        """Leave a trial to whoever comes next, because it could not be brought to its end."""
        claim.trial.set_user_attr(OWNER, {})

    def beat(self, claim: ClaimedTrial) -> None:
        """Say that this process still works on a trial."""
        claim.trial.set_user_attr(SEEN, time.time())

    @property
    def trials(self) -> list[FrozenTrial]:
        """Every trial of the study, of all processes."""
        return self.study.get_trials(deepcopy=False)

    def _is_abandoned(self, trial: FrozenTrial) -> bool:
        if trial.state != TrialState.RUNNING:
            return False
        owner: Mapping[str, str] | None = trial.user_attrs.get(OWNER)
        if owner is None:
            begun = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
            return not self.shared or time.time() - begun > FRESH_SECONDS
        if not owner or owner.get("erasure.host") == host():
            return not is_alive(owner)
        return time.time() - float(trial.user_attrs.get(SEEN, 0.0)) > SILENT_SECONDS


def open_book(  # one call, all by name
    *,
    plan: StudyPlan,
    storage: BaseStorage,
    total: int,
    sampler: Callable[[int], BaseSampler],
    pruner: BasePruner,
    notes: Mapping[str, Any],
    shared: bool,
) -> StudyClient:
    """Create or continue the study of ``plan``; call this under the lock of the store.

    Its first trial is as near to the method's own settings as the space allows.

    Raises:
        ConfigError: If a study of this name optimizes something else, or in another space.
    """
    with quiet_optuna():
        try:
            study = optuna.load_study(
                study_name=plan.name, storage=storage, sampler=sampler(0), pruner=pruner
            )
        except KeyError:
            study = optuna.create_study(
                study_name=plan.name,
                storage=storage,
                sampler=sampler(0),
                pruner=pruner,
                directions=plan.objective.directions,
            )
            study.set_metric_names(list(plan.objective.metrics))
        if FACTS not in study.user_attrs and not study.get_trials(deepcopy=False):
            if plan.defaults:  # enqueued first: facts that are there say that this is done
                study.enqueue_trial(plan.defaults, skip_if_exists=True)
            study.set_user_attr(FACTS, json.dumps(plan.facts, sort_keys=True))
        _require_same(plan, study)
        study.set_user_attr(NOTES, json.dumps(notes))
    return StudyClient(plan=plan, study=study, total=total, sampler=sampler, shared=shared)


def _require_same(plan: StudyPlan, study: optuna.Study) -> None:
    found = json.loads(study.user_attrs.get(FACTS, "{}"))
    now = json.loads(json.dumps(plan.facts))
    if found == now:
        return
    changed = [key for key in now if found.get(key) != now[key]]
    told = "was begun by another program"
    if changed and found:
        spoken = {"fixed": "configuration", "space": _difference(found["space"], now["space"])}
        told = f"was begun with another {', '.join(spoken.get(key, key) for key in changed)}"
    raise ConfigError(
        f"hydra.sweeper.study_name={plan.name} {told}; its trials and new ones would not be "
        "comparable. Go back to what it was, or start a new study with "
        f"hydra.sweeper.study_name={plan.name}-2"
    )


def _difference(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    names = sorted({*before, *now})
    changed = [name for name in names if before.get(name) != now.get(name)]
    return f"search space ({', '.join(changed)})"


def _myself() -> dict[str, str]:
    tags = process_tags()
    return {key: tags[key] for key in ("erasure.host", "erasure.pid", "erasure.born")}
