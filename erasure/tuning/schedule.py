"""Which run comes next: studies take turns, the seeds of a trial follow each other."""

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from statistics import fmean

from optuna.trial import TrialState

from erasure.launch.interrupts import Stop
from erasure.launch.run import Run
from erasure.results.store import ResultStore
from erasure.sweeps.run_results import RunResult
from erasure.tuning.client import ClaimedTrial, StudyClient, TrialOutcome, is_hopeless
from erasure.tuning.outcomes import unmeasured, without_values
from erasure.tuning.sampler import STEPS_PER_SEED, is_by_seed, is_pruning
from erasure.tuning.search_space import Value

HEARTBEAT_SECONDS = 60.0
"""Far below the silence after which other processes take a trial over."""


@dataclass
class ActiveTrial:
    """A trial some of whose seeds still have to run.

    Args:
        client: Its study.
        claimed: The trial.
        run_results: What came of its seeds so far, by index of the seed.
        running: Indices of the seeds that run now.
    """

    client: StudyClient
    claimed: ClaimedTrial
    run_results: dict[int, RunResult] = field(default_factory=dict)
    running: set[int] = field(default_factory=set)

    def waiting(self) -> list[int]:
        """Return the indices of the seeds that nobody has started."""
        begun = self.run_results.keys() | self.running
        return [index for index in range(len(self.client.plan.seeds)) if index not in begun]


@dataclass(kw_only=True)
class Schedule:
    """Hands out runs one by one and tells the studies what came of them.

    Args:
        clients: The studies.
        results: Where runs leave their results.
        lock: Held while a trial is claimed.
        tuning: What every run has to know about its study.
        cap: Wall time that a method may take, or None.
        max_failures: Share of failed trials that ends a study.
        stop: Due when no trial may be started any more.
    """

    clients: Sequence[StudyClient]
    results: ResultStore
    lock: Callable[[], AbstractContextManager[None]]
    tuning: Mapping[str, Value]
    cap: float | None
    max_failures: float
    stop: Stop
    _active: list[ActiveTrial] = field(default_factory=list)
    _handed_out: dict[int, tuple[ActiveTrial, int]] = field(default_factory=dict)
    _full: set[str] = field(default_factory=set)
    _number: int = 0

    def ask(self) -> Run | None:
        """Return a run that has to be carried out, or None if there is none now."""
        seed = self._next_seed()
        if seed is None:
            return None
        active, seed_index = seed
        run = self._run(active, seed_index)
        self._handed_out[run.number] = (active, seed_index)
        active.running.add(seed_index)
        return run

    def tell(self, run: Run, run_result: RunResult) -> tuple[ActiveTrial, TrialOutcome] | None:
        """Take note of what came of a run, and return its trial if that ended, and how."""
        active, seed_index = self._handed_out.pop(run.number)
        active.running.discard(seed_index)
        outcome = self._add(active, seed_index, run_result)
        return None if outcome is None else (active, outcome)

    def give_back_all(self) -> None:
        """Leave what is not finished to whoever continues the studies."""
        for active in self._active:
            active.client.give_back(active.claimed)
        self._active.clear()

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Say from time to time, in the background, that this process is alive."""
        over = threading.Event()

        def send_heartbeats() -> None:
            while not over.wait(HEARTBEAT_SECONDS):
                for active in list(self._active):  # a copy: the main thread changes it meanwhile
                    active.client.heartbeat(active.claimed)

        thread = threading.Thread(target=send_heartbeats, daemon=True, name="erasure-heartbeat")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _next_seed(self) -> tuple[ActiveTrial, int] | None:
        """Return a trial and the index of a seed of it to run, trials that have begun first."""
        for active in self._active:
            # A pruner decides after each seed whether the next one runs at all
            one_by_one = is_pruning(active.client.study.pruner)
            if active.waiting() and not (one_by_one and active.running):
                return active, active.waiting()[0]
        active_or_none = self._claim()
        return None if active_or_none is None else (active_or_none, 0)

    def _claim(self) -> ActiveTrial | None:
        """Claim a trial of the study that has the fewest."""
        while not self.stop.is_due():
            unfilled = [c for c in self.clients if c.plan.name not in self._full]
            if not unfilled:
                return None
            with self.lock():  # counting and claiming at once, or two processes draw a last trial
                client = min(unfilled, key=_num_begun)
                claimed = None if self._is_hopeless(client) else client.claim()
            if claimed is None:
                self._full.add(client.plan.name)
                continue
            active = ActiveTrial(client=client, claimed=claimed)
            self._active.append(active)
            return active
        return None

    def _is_hopeless(self, client: StudyClient) -> bool:
        return is_hopeless(client.trials, self.max_failures)

    def _run(self, active: ActiveTrial, seed_index: int) -> Run:
        number, self._number = self._number, self._number + 1
        settings = active.claimed.settings
        trial = active.claimed.trial.number
        return active.client.plan.run(number, settings, trial, seed_index, self.tuning)

    def _add(
        self, active: ActiveTrial, seed_index: int, run_result: RunResult
    ) -> TrialOutcome | None:
        """Add what came of a seed, and tell the study if that decides about its trial."""
        if active not in self._active:
            return None  # another seed decided about this trial already
        active.run_results[seed_index] = run_result
        outcome = None
        if run_result.died:
            outcome = self._try_again(active, seed_index)
        elif run_result.state == "not run":  # not the setting's fault, so no outcome of its trial
            self._give_back(active)
        else:
            outcome = self._outcome(active, seed_index)
        if outcome is not None:
            active.client.tell(active.claimed, outcome)
            self._active.remove(active)
        return outcome

    def _try_again(self, active: ActiveTrial, seed_index: int) -> TrialOutcome | None:
        """Let a seed wait again whose process died, or return that it did so for the second time.

        A process is killed by the machine or a person, and a launcher gives up by itself: neither
        says anything about a setting, unless it happens again.
        """
        if active.client.count_death(active.claimed, seed_index) > 1:
            seed = active.client.plan.seeds[seed_index]
            reason = f"its process died twice ({active.run_results[seed_index].reason})"
            return TrialOutcome(state=TrialState.FAIL, reason=f"seed {seed}: {reason}")
        del active.run_results[seed_index]
        if self.stop.is_due():  # the second try is for whoever continues the study
            self._give_back(active)
        return None

    def _give_back(self, active: ActiveTrial) -> None:
        active.client.give_back(active.claimed)
        self._active.remove(active)

    def _outcome(self, active: ActiveTrial, seed_index: int) -> TrialOutcome | None:
        """Return how a trial ended, once a seed ended, or None to go on."""
        run_result = active.run_results[seed_index]
        seed = active.client.plan.seeds[seed_index]
        if run_result.state != "finished":
            return without_values(run_result, seed)
        seconds = run_result.metrics.get("cost/unlearn_seconds", math.nan)
        if self.cap is not None and seconds > self.cap:  # False for NaN: unknown is not too long
            reason = f"seed {seed}: the method took {seconds:.3g} s, more than {self.cap:g} s"
            return TrialOutcome(state=TrialState.PRUNED, reason=reason, seconds=seconds)
        missing = self._unmeasured(active, seed_index)
        if missing:
            return TrialOutcome(state=TrialState.FAIL, reason=f"seed {seed}: {missing}")
        if active.waiting() or active.running:
            return self._between_seeds(active, seed_index)
        return _complete(active)

    def _unmeasured(self, active: ActiveTrial, seed_index: int) -> str:
        """Return why a seed that finished has no value, and end the study if none can have one."""
        run_result, plan = active.run_results[seed_index], active.client.plan
        artifacts = self.results.artifacts(run_result.run.record.fingerprint)
        reason, for_all = unmeasured(run_result, plan.objective, artifacts)
        if reason and for_all and plan.samples_are_fixed:
            self._full.add(plan.name)
            reason += "; the study ends, because no setting of it can be measured"
        return reason

    def _between_seeds(self, active: ActiveTrial, seed_index: int) -> TrialOutcome | None:
        pruner = active.client.study.pruner
        if not is_pruning(pruner):
            return None
        objective = active.client.plan.objective
        values = [objective.values(r.metrics)[0] for r in active.run_results.values()]
        trial = active.claimed.trial
        if is_by_seed(pruner):  # a Wilcoxon test pairs the values of one seed
            trial.report(values[-1], seed_index)
        else:  # beyond all steps that were reported while this seed ran
            trial.report(fmean(values), (seed_index + 1) * STEPS_PER_SEED)
        if not trial.should_prune():
            return None
        seed = active.client.plan.seeds[seed_index]
        return TrialOutcome(
            state=TrialState.PRUNED, reason=f"seed {seed}: others did better by then"
        )


def _complete(active: ActiveTrial) -> TrialOutcome:
    objective, run_results = active.client.plan.objective, list(active.run_results.values())
    rows = [objective.values(run_result.metrics) for run_result in run_results]
    violations = [objective.violations(run_result.metrics) for run_result in run_results]
    return TrialOutcome(
        state=TrialState.COMPLETE,
        values=tuple(fmean(column) for column in zip(*rows, strict=True)),
        violations={n: fmean(seed[n] for seed in violations) for n in objective.constraints},
        seconds=fmean(_value(run_result, "cost/unlearn_seconds") for run_result in run_results),
    )


def _value(run_result: RunResult, name: str) -> float:
    return run_result.metrics.get(name, math.nan)


def _num_begun(client: StudyClient) -> int:
    """Count the trials that somebody has begun; those that wait are still to be handed out."""
    return sum(trial.state != TrialState.WAITING for trial in client.trials)
