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
from erasure.sweep.summary import format_number
from erasure.tuning.choice import best_trial
from erasure.tuning.client import StudyClient, TrialOutcome
from erasure.tuning.schedule import ActiveTrial

WORDS = {TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@dataclass
class Pace:
    """How long the rest will take, by what this process has done so far.

    Args:
        total: Trials of all studies.
        done: Trials that had ended before.
        now: Current time in seconds.
    """

    total: int
    done: int
    now: Callable[[], float] = time.monotonic
    ended: int = 0
    failed: int = 0
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.now()

    def add(self, outcome: TrialOutcome) -> None:
        """Count one more trial."""
        self.ended += 1
        self.done += 1
        self.failed += outcome.state == TrialState.FAIL

    def remaining(self) -> float:
        """Return the seconds left, NaN before the first trial ended."""
        if not self.ended:
            return math.nan
        left = max(0, self.total - self.done)
        return (self.now() - self.began) / self.ended * left


@contextmanager
def study_progress(
    clients: Sequence[StudyClient], console: Console
) -> Iterator[Callable[[ActiveTrial, TrialOutcome], None]]:
    """Yield a function to call with each trial that ends."""
    ended = [sum(trial.state.is_finished() for trial in client.trials) for client in clients]
    most = sum(max(client.total, done) for client, done in zip(clients, ended, strict=True))
    pace = Pace(total=most, done=sum(ended))  # a study may have more than is asked for by now
    width = max(len(client.plan.label) for client in clients)
    estimated: list[ActiveTrial] = []
    bar = progress_bar(console) if console.is_terminal else None
    with bar or nullcontext():
        task = bar.add_task("starting", total=pace.total, completed=pace.done) if bar else None

        def show(active: ActiveTrial, outcome: TrialOutcome) -> None:
            pace.add(outcome)
            console.print(_line(active, outcome, pace, width), soft_wrap=True)
            ran = any(not run_result.read_back for run_result in active.run_results.values())
            if ran and not estimated and pace.total > pace.done:
                console.print(_estimate(active, pace), soft_wrap=True)
                estimated.append(active)
            if bar is not None and task is not None:
                bar.update(task, completed=pace.done, description=_state(clients, pace))

        yield show


def _line(active: ActiveTrial, outcome: TrialOutcome, pace: Pace, width: int) -> Text:
    plan = active.client.plan
    position = f"[{pace.done:>{len(str(pace.total))}}/{pace.total}]"
    head = f"{position} {plan.label:<{width}} trial {active.claimed.trial.number:<4}"
    if outcome.state != TrialState.COMPLETE:
        return Text(f"{head}{WORDS[outcome.state]}: {outcome.reason}", style="red")
    pairs = zip(plan.objective.metrics, outcome.values, strict=True)
    values = "   ".join(f"{name} {format_number(value)}" for name, value in pairs)
    best = best_trial(active.client.trials, plan.objective)
    best_values = "" if best is None else f"   best {_join(best.values)}"
    left = f"   {duration(pace.remaining())} left" if pace.total > pace.done else ""
    return Text(f"{head}{values}{best_values}{left}")


def _estimate(active: ActiveTrial, pace: Pace) -> Text:
    seconds = sum(run_result.seconds for run_result in active.run_results.values())
    seeds = "1 seed" if len(active.run_results) == 1 else f"{len(active.run_results)} seeds"
    trained = sum(run_result.trained for run_result in active.run_results.values())
    left = pace.total - pace.done
    return estimate(seconds, trained, left, pace.remaining(), f" with {seeds}")


def _state(clients: Sequence[StudyClient], pace: Pace) -> str:
    best = (best_trial(client.trials, client.plan.objective) for client in clients)
    best_values = [
        f"{client.plan.label} {_join(trial.values)}"
        for client, trial in zip(clients, best, strict=True)
        if trial is not None
    ]
    failed = [f"{pace.failed} failed"] if pace.failed else []
    return " · ".join(
        ["best " + ", ".join(best_values), *failed, f"{duration(pace.remaining())} left"]
    )


def _join(values: Sequence[float]) -> str:
    return "/".join(format_number(value) for value in values)
