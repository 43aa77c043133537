"""What the loop of a sweep asks of a source: which run comes next, and what came of it."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from erasure.launch.run import Run
from erasure.sweeps.files import SummaryTable
from erasure.sweeps.records import SweepRecords
from erasure.sweeps.run_results import RunResult

LineState: TypeAlias = Literal["finished", "failed", "pruned", "not run"]


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What a sweep is about to do.

    Args:
        text: How much there is to run and to train, in one line.
        like: Examples of the runs to come.
        total: Number of runs, or of trials of studies.
        done: Number of those that ended before; equal to ``total`` if nothing is left.
    """

    text: str
    like: Sequence[Run]
    total: int
    done: int


@dataclass(frozen=True, kw_only=True)
class ProgressLine:
    """What is shown of a run that ended, or of a trial of a study.

    Args:
        text: What it is and what came of it.
        outcome: How it ended.
        seconds: Wall time it took.
        trained: Number of models that were trained for it.
        read_back: Whether it had finished before, and took no time.
        seeds: Number of seeds that the time is for, if it is a trial of a study.
    """

    text: str
    outcome: LineState
    seconds: float = 0.0
    trained: int = 0
    read_back: bool = False
    seeds: int | None = None


class Source(Protocol):
    """Where the runs of a sweep come from: a list, or studies.

    It knows nothing of processes, of other sources, or of the terminal.
    """

    @property
    def records(self) -> SweepRecords:
        """Where the sweep is written down."""

    @property
    def batch(self) -> int | None:
        """Most runs to hand at once to a launcher that takes many; None is all there are."""

    def left(self) -> Sequence[Run]:
        """Look up what is done, and return the runs that are left, as far as they are listed."""

    def check(self) -> Workload:
        """Refuse what cannot run, before anything does.

        Raises:
            ErasureError: With one message that names the setting.
        """

    def opened(self) -> AbstractContextManager[object]:
        """Return a context for the time in which runs are carried out."""

    def ask(self) -> Run | None:
        """Return a run to carry out, or None if there is none now."""

    def tell(self, run: Run, run_result: RunResult) -> ProgressLine | None:
        """Take note of what came of a run, and return what there is to show of it."""

    def best(self) -> str:
        """Return the best so far in a few words, empty before there is any."""

    def table(self, run_results: Sequence[RunResult], stopped: str) -> SummaryTable:
        """Return what the sweep is summed up by.

        Args:
            run_results: What came of the runs that were handed out.
            stopped: Why nothing new was started, empty if all was.
        """
