"""How far a sweep is: a bar on a terminal, one line per run or trial everywhere."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from erasure.sweeps.source import ProgressLine


def plain_console() -> Console:
    """Return a console that does not fold a table into 80 columns on its way into a file."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, 200)
    return console


@contextmanager
def progress(
    total: int, done: int, best: Callable[[], str], console: Console
) -> Iterator[Callable[[ProgressLine], None]]:
    """Yield a function to call with each run, or trial of a study, that ends.

    Args:
        total: Number of them in the sweep.
        done: Number of those that had ended before.
        best: Returns the best so far in a few words.
        console: Where to write; the bar appears only if it is a terminal.
    """
    tally = Tally(total=total, done=done)
    estimated = False
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    bar = Progress(*columns, TimeElapsedColumn(), console=console, transient=True)
    with bar if console.is_terminal else nullcontext():
        task = bar.add_task(tally.text(best()), total=total, completed=done)

        def show(line: ProgressLine) -> None:
            nonlocal estimated
            tally.add(line)
            console.print(_text(line, tally), soft_wrap=True)
            timed = line.outcome == "finished" and not line.read_back
            if timed and not estimated and tally.left:
                estimated = True
                console.print(_estimate(line, tally), soft_wrap=True)
            if console.is_terminal:  # the best of a study is looked up in its storage
                bar.update(task, completed=tally.done, description=tally.text(best()))

        yield show


@dataclass
class Tally:
    """Counts runs, or trials of studies, as they end.

    Args:
        total: Number of them in the sweep.
        done: Number of those that have ended.
        now: Current time in seconds.
    """

    total: int
    done: int = 0
    now: Callable[[], float] = time.monotonic
    failed: int = 0
    _ran: int = 0
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.now()

    @property
    def left(self) -> int:
        """Number of those that have not ended."""
        return max(0, self.total - self.done)

    def add(self, line: ProgressLine) -> None:
        """Count one more."""
        self.done += 1
        # what was read back took no time and says nothing about the pace
        self._ran += not line.read_back
        self.failed += line.outcome == "failed"

    def remaining(self) -> float:
        """Return the seconds left at the pace so far, NaN before the first one ended."""
        if not self._ran:
            return math.nan
        return (self.now() - self._began) / self._ran * self.left

    def text(self, best: str) -> str:
        """Return best value, failures and time left in a few words."""
        failed = f"{self.failed} failed" if self.failed else ""
        remaining = self.remaining()
        left = "" if math.isnan(remaining) else f"{duration(remaining)} left"
        return " · ".join(part for part in (best, failed, left) if part) or "starting"


def duration(seconds: float) -> str:
    """Return a time as a person writes it: ``40 s``, ``12 min``, ``1.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _text(line: ProgressLine, tally: Tally) -> Text:
    position = f"[{tally.done:>{len(str(tally.total))}}/{tally.total}]"
    if line.outcome != "finished":
        return Text(f"{position} {line.text}", style="red")
    # a trial of a study takes its seeds one after the other: how long it goes on is of interest
    timed = line.seeds is not None and tally.left and not math.isnan(tally.remaining())
    left = f"   {duration(tally.remaining())} left" if timed else ""
    return Text(f"{position} {line.text}{left}")


def _estimate(line: ProgressLine, tally: Tally) -> Text:
    """Say what the first one took and what the others will."""
    seeds = "" if line.seeds is None else f" with {line.seeds} seed{'s' * (line.seeds != 1)}"
    models = "1 model was" if line.trained == 1 else f"{line.trained} models were"
    models = f", for which {models} trained" if line.trained else ""
    less = ", and less once the models are in the store" if line.trained else ""
    rest = "1 more takes" if tally.left == 1 else f"{tally.left} more take"
    return Text(
        f"the first trial took {duration(line.seconds)}{seeds}{models}; {rest} "
        f"about {duration(tally.remaining())} at this pace{less}",
        style="dim",
    )
