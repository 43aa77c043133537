"""How far a sweep is: a bar on a terminal, one line per trial everywhere."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from erasure.launch.run import Run
from erasure.sweep.run_results import RunResult
from erasure.sweep.summary import format_number
from erasure.trial.objective import Objective


def plain_console() -> Console:
    """Return a console that does not fold a table into 80 columns on its way into a file."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, 200)
    return console


@contextmanager
def progress(
    left: Sequence[Run],
    total: int,
    earlier: Sequence[RunResult],
    objective: Objective,
    console: Console,
) -> Iterator[Callable[[RunResult], None]]:
    """Yield a function to call with each trial that ends.

    Args:
        left: The runs that will be carried out.
        total: Number of trials in the sweep.
        earlier: The runs that need not be carried out.
        objective: What is called best.
        console: Where to write; the bar appears only if it is a terminal.
    """
    width = max((len(run.label) for run in left), default=0)
    tally = Tally(total=total, objective=objective)
    for run_result in earlier:
        tally.add(run_result)
    estimated = False
    bar = progress_bar(console) if console.is_terminal else None
    with bar or nullcontext():
        task = bar.add_task(tally.text(), total=tally.total, completed=tally.done) if bar else None

        def show(run_result: RunResult) -> None:
            nonlocal estimated
            tally.add(run_result)
            console.print(_line(run_result, tally, width), soft_wrap=True)
            if run_result.state == "finished" and not estimated and tally.total > tally.done:
                estimated = True
                num_left, seconds = tally.total - tally.done, tally.remaining()
                outlook = estimate(run_result.seconds, run_result.trained, num_left, seconds)
                console.print(outlook, soft_wrap=True)
            if bar is not None and task is not None:
                bar.update(task, completed=tally.done, description=tally.text())

        yield show


@dataclass
class Tally:
    """Counts trials as they end.

    Args:
        total: Number of trials in the sweep.
        objective: What is called best.
        now: Current time in seconds.
    """

    total: int
    objective: Objective
    now: Callable[[], float] = time.monotonic
    done: int = 0
    failed: int = 0
    best: float = math.nan
    _ran: int = 0
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.now()

    def add(self, run_result: RunResult) -> None:
        """Count one more trial."""
        self.done += 1
        # what was read back took no time and says nothing about the pace
        self._ran += not run_result.read_back
        self.failed += run_result.state == "failed"
        value = self.objective.values(run_result.metrics)[0]
        better = value > self.best if self._maximizes() else value < self.best
        # comparisons with NaN are false, so the first value needs the second condition
        if better or math.isnan(self.best):
            self.best = value

    def remaining(self) -> float:
        """Return the seconds left at the pace so far, NaN before the first trial ended."""
        if not self._ran:
            return math.nan
        return (self.now() - self._began) / self._ran * (self.total - self.done)

    def text(self) -> str:
        """Return best value, failures and time left in a few words."""
        parts = []
        if not math.isnan(self.best):
            parts.append(f"best {next(iter(self.objective.metrics))} {format_number(self.best)}")
        if self.failed:
            parts.append(f"{self.failed} failed")
        if not math.isnan(self.remaining()):
            parts.append(f"{duration(self.remaining())} left")
        return " · ".join(parts) or "starting"

    def _maximizes(self) -> bool:
        return next(iter(self.objective.metrics.values())) == "maximize"


def progress_bar(console: Console) -> Progress:
    """Return the bar of a sweep, to be opened as a context."""
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    return Progress(*columns, TimeElapsedColumn(), console=console, transient=True)


def estimate(seconds: float, trained: int, left: int, remaining: float, each: str = "") -> Text:
    """Say what the first trial took and what the others will.

    Args:
        seconds: The first trial.
        trained: Models that were trained for it.
        left: Number of other trials.
        remaining: Seconds that they take at the pace so far.
        each: What else there is to say about a trial.
    """
    models = "1 model was" if trained == 1 else f"{trained} models were"
    models = f", for which {models} trained" if trained else ""
    less = ", and less once the models are in the store" if trained else ""
    rest = "1 more takes" if left == 1 else f"{left} more take"
    return Text(
        f"the first trial took {duration(seconds)}{each}{models}; {rest} "
        f"about {duration(remaining)} at this pace{less}",
        style="dim",
    )


def _line(run_result: RunResult, tally: Tally, width: int) -> Text:
    position = f"[{tally.done:>{len(str(tally.total))}}/{tally.total}]"
    head = f"{position} {run_result.run.label:<{width}}   "
    if run_result.state != "finished":
        return Text(f"{head}{run_result.state}: {run_result.reason}", style="red")
    values = _values(run_result.metrics, tally.objective)
    return Text(f"{head}{values}   {run_result.seconds:.1f} s")


def _values(metrics: Mapping[str, float], objective: Objective) -> str:
    pairs = zip(objective.metrics, objective.values(metrics), strict=True)
    return "   ".join(f"{name} {format_number(value)}" for name, value in pairs)


def duration(seconds: float) -> str:
    """Return a time as a person writes it: ``40 s``, ``12 min``, ``1.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
