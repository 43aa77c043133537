"""Which run comes next: studies take turns, the seeds of a trial follow each other."""

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from statistics import fmean

from optuna.trial import FrozenTrial, TrialState

from erasure.launch.interrupts import Stop
from erasure.launch.jobs import JobResult
from erasure.launch.run import Run
from erasure.sweep.records import SweepRecords
from erasure.sweep.run_results import EarlierResults, Entry
from erasure.tuning.client import ClaimedTrial, StudyClient, TrialOutcome
from erasure.tuning.sampler import STEPS_PER_SEED, is_by_seed, is_pruning
from erasure.tuning.search_space import Value

HEARTBEAT_SECONDS = 60.0
ENOUGH_TO_JUDGE = 10
"""Trials a study has before the share that failed can end it."""


@dataclass
class Active:
    """A trial some of whose seeds still have to run."""

    book: StudyClient
    claim: ClaimedTrial
    entries: dict[int, Entry] = field(default_factory=dict)
    running: set[int] = field(default_factory=set)

    def waiting(self) -> list[int]:
        """Return the seeds that nobody has started."""
        places = range(len(self.book.plan.seeds))
        return [p for p in places if p not in self.entries and p not in self.running]


Told = Callable[[Active, TrialOutcome], None]


@dataclass(kw_only=True)
class Schedule:
    """Hands out runs one by one and tells the studies what came of them.

    Args:
        books: The studies.
        desk: Where results are looked up.
        lock: Held while a trial is claimed.
        tuning: What every run has to know about its study.
        cap: Wall time that a method may take, or None.
        max_failures: Share of failed trials that ends a study.
        stop: Due when no trial may be started any more.
        told: Called with each trial that ended.
        entries: Every run that was entered.
    """

    books: Sequence[StudyClient]
    desk: SweepRecords
    lock: Callable[[], AbstractContextManager[None]]
    tuning: Mapping[str, Value]
    cap: float | None
    max_failures: float
    stop: Stop
    told: Told
    entries: list[Entry] = field(default_factory=list)
    _active: list[Active] = field(default_factory=list)
    _jobs: dict[int, tuple[Active, int, EarlierResults]] = field(default_factory=dict)
    _full: set[str] = field(default_factory=set)
    _number: int = 0

    def next(self) -> Run | None:
        """Return a run that has to be carried out, or None if there is none now.

        What finished before, here or in another sweep, is read back on the way.
        """
        while (found := self._next()) is not None:
            active, place = found
            planned = self._planned(active, place)
            before = self.desk.finished_before([planned])
            if planned.number not in before:
                self._jobs[planned.number] = (active, place, self.desk.books([planned]))
                active.running.add(place)
                return planned
            self._enter(active, place, before[planned.number])
        return None

    def enter(self, planned: Run, ending: JobResult | None, error: str) -> None:
        """Take note of a run that was handed out and ended."""
        active, place, books = self._jobs.pop(planned.number)
        active.running.discard(place)
        self._enter(active, place, books.enter(planned, ending, error))

    def abandon(self) -> None:
        """Leave what is not finished to whoever continues the studies."""
        for active in self._active:
            active.book.release(active.claim)
        self._active.clear()

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Say from time to time, in the background, that this process is alive."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(HEARTBEAT_SECONDS):
                for active in list(self._active):
                    active.book.beat(active.claim)

        thread = threading.Thread(target=beat, daemon=True, name="erasure-heartbeat")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _next(self) -> tuple[Active, int] | None:
        for active in self._active:
            one_by_one = is_pruning(active.book.study.pruner)
            if active.waiting() and not (one_by_one and active.running):
                return active, active.waiting()[0]
        active_or_none = self._claim()
        return None if active_or_none is None else (active_or_none, 0)

    def _claim(self) -> Active | None:
        """Claim a trial of the study that has the fewest."""
        while not self.stop.is_due():
            open_books = [book for book in self.books if book.plan.name not in self._full]
            if not open_books:
                return None
            with self.lock():
                book = min(open_books, key=_begun)
                claim = None if self._is_hopeless(book) else book.claim()
            if claim is None:
                self._full.add(book.plan.name)
                continue
            active = Active(book=book, claim=claim)
            self._active.append(active)
            return active
        return None

    def _is_hopeless(self, book: StudyClient) -> bool:
        return is_hopeless(book.trials, self.max_failures)

    def _planned(self, active: Active, place: int) -> Run:
        number, self._number = self._number, self._number + 1
        settings = active.claim.settings
        trial = active.claim.trial.number
        return active.book.plan.run(number, settings, trial, place, self.tuning)

    def _enter(self, active: Active, place: int, entry: Entry) -> None:
        self.entries.append(entry)
        if active not in self._active:
            return  # another seed decided about this trial already
        active.entries[place] = entry
        if entry.state == "not run":
            active.book.release(active.claim)
            self._active.remove(active)
            return
        verdict = self._verdict(active, place)
        if verdict is None:
            return
        active.book.tell(active.claim, verdict)
        self._active.remove(active)
        self.told(active, verdict)

    def _verdict(self, active: Active, place: int) -> TrialOutcome | None:
        """Return what is known about a trial once a seed ended, or None to go on."""
        entry = active.entries[place]
        seed = active.book.plan.seeds[place]
        if entry.state != "finished":
            outcome = entry.result.outcome if entry.result else "failed"
            pruned = outcome in ("pruned", "diverged")
            state = TrialState.PRUNED if pruned else TrialState.FAIL
            kind = "diverged: " if outcome == "diverged" else ""
            return TrialOutcome(state=state, reason=f"seed {seed}: {kind}{entry.reason}")
        seconds = entry.metrics.get("cost/unlearn_seconds", math.nan)
        if self.cap is not None and seconds > self.cap:
            reason = f"seed {seed}: the method took {seconds:.3g} s, more than {self.cap:g} s"
            return TrialOutcome(state=TrialState.PRUNED, reason=reason, seconds=seconds)
        objective = active.book.plan.objective
        missing = [name for name in objective.names if math.isnan(_value(entry, name))]
        if missing:
            reason = f"seed {seed}: {', '.join(missing)} was not measured"
            return TrialOutcome(state=TrialState.FAIL, reason=reason)
        if active.waiting() or active.running:
            return self._between_seeds(active, place)
        return _complete(active)

    def _between_seeds(self, active: Active, place: int) -> TrialOutcome | None:
        pruner = active.book.study.pruner
        if not is_pruning(pruner):
            return None
        objective = active.book.plan.objective
        values = [objective.values(e.metrics)[0] for e in active.entries.values()]
        trial = active.claim.trial
        if is_by_seed(pruner):
            trial.report(values[-1], place)
        else:
            trial.report(fmean(values), (place + 1) * STEPS_PER_SEED)
        if not trial.should_prune():
            return None
        seed = active.book.plan.seeds[place]
        return TrialOutcome(
            state=TrialState.PRUNED, reason=f"seed {seed}: others did better by then"
        )


def is_hopeless(trials: Sequence[FrozenTrial], max_failures: float) -> bool:
    """Tell whether so large a share of a study failed that it ends before its time."""
    ended = [trial.state for trial in trials if trial.state.is_finished()]
    failed = ended.count(TrialState.FAIL)
    return len(ended) >= ENOUGH_TO_JUDGE and failed > max_failures * len(ended)


def _complete(active: Active) -> TrialOutcome:
    objective, entries = active.book.plan.objective, list(active.entries.values())
    rows = [objective.values(entry.metrics) for entry in entries]
    violations = [objective.violations(entry.metrics) for entry in entries]
    return TrialOutcome(
        state=TrialState.COMPLETE,
        values=tuple(fmean(column) for column in zip(*rows, strict=True)),
        violations={n: fmean(one[n] for one in violations) for n in objective.constraints},
        seconds=fmean(_value(entry, "cost/unlearn_seconds") for entry in entries),
    )


def _value(entry: Entry, name: str) -> float:
    return entry.metrics.get(name, math.nan)


def _begun(book: StudyClient) -> int:
    """Count the trials that somebody has begun; those that wait are still to be handed out."""
    return sum(trial.state != TrialState.WAITING for trial in book.trials)
