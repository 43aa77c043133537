"""How far a tuning sweep is: one line per trial, and a bar on a terminal."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from optuna.trial import TrialState
from rich.console import Console
from rich.text import Text

from erasure.sweep.progress import duration, estimate, progress_bar
from erasure.sweep.summary import figure
from erasure.tuning.choice import chosen
from erasure.tuning.client import StudyClient, TrialOutcome
from erasure.tuning.schedule import Active

WORDS = {TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@dataclass
class Pace:
    """How long the rest will take, by what this process has told so far.

    Args:
        total: Trials of all studies.
        done: Trials that had ended before.
        now: Current time in seconds.
    """

    total: int
    done: int
    now: Callable[[], float] = time.monotonic
    told: int = 0
    failed: int = 0
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.now()

    def add(self, verdict: TrialOutcome) -> None:
        """Count one more trial."""
        self.told += 1
        self.done += 1
        self.failed += verdict.state == TrialState.FAIL

    def remaining(self) -> float:
        """Return the seconds left, NaN before the first trial ended."""
        if not self.told:
            return math.nan
        left = max(0, self.total - self.done)
        return (self.now() - self.began) / self.told * left


@contextmanager
def study_progress(
    books: Sequence[StudyClient], console: Console
) -> Iterator[Callable[[Active, TrialOutcome], None]]:
    """Yield a function to call with each trial that ends."""
    ended = [sum(trial.state.is_finished() for trial in book.trials) for book in books]
    most = sum(max(book.total, done) for book, done in zip(books, ended, strict=True))
    pace = Pace(total=most, done=sum(ended))  # a study may have more than is asked for by now
    width = max(len(book.plan.label) for book in books)
    estimated: list[Active] = []
    bar = progress_bar(console) if console.is_terminal else None
    with bar or nullcontext():
        task = bar.add_task("starting", total=pace.total, completed=pace.done) if bar else None

        def told(active: Active, verdict: TrialOutcome) -> None:
            pace.add(verdict)
            console.print(_line(active, verdict, pace, width), soft_wrap=True)
            ran = any(not entry.before for entry in active.entries.values())
            if ran and not estimated and pace.total > pace.done:
                console.print(_estimate(active, pace), soft_wrap=True)
                estimated.append(active)
            if bar is not None and task is not None:
                bar.update(task, completed=pace.done, description=_state(books, pace))

        yield told


def _line(active: Active, verdict: TrialOutcome, pace: Pace, width: int) -> Text:
    plan = active.book.plan
    place = f"[{pace.done:>{len(str(pace.total))}}/{pace.total}]"
    head = f"{place} {plan.label:<{width}} trial {active.claim.trial.number:<4}"
    if verdict.state != TrialState.COMPLETE:
        return Text(f"{head}{WORDS[verdict.state]}: {verdict.reason}", style="red")
    pairs = zip(plan.objective.metrics, verdict.values, strict=True)
    values = "   ".join(f"{name} {figure(value)}" for name, value in pairs)
    best = chosen(active.book.trials, plan.objective)
    told = "" if best is None else f"   best {_figures(best.values)}"
    left = f"   {duration(pace.remaining())} left" if pace.total > pace.done else ""
    return Text(f"{head}{values}{told}{left}")


def _estimate(active: Active, pace: Pace) -> Text:
    seconds = sum(entry.seconds for entry in active.entries.values())
    seeds = "1 seed" if len(active.entries) == 1 else f"{len(active.entries)} seeds"
    trained = sum(entry.trained for entry in active.entries.values())
    left = pace.total - pace.done
    return estimate(seconds, trained, left, pace.remaining(), f" with {seeds}")


def _state(books: Sequence[StudyClient], pace: Pace) -> str:
    best = (chosen(book.trials, book.plan.objective) for book in books)
    found = [
        f"{book.plan.label} {_figures(trial.values)}"
        for book, trial in zip(books, best, strict=True)
        if trial is not None
    ]
    failed = [f"{pace.failed} failed"] if pace.failed else []
    return " · ".join(["best " + ", ".join(found), *failed, f"{duration(pace.remaining())} left"])


def _figures(values: Sequence[float]) -> str:
    return "/".join(figure(value) for value in values)
