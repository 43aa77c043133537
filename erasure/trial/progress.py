"""Who watches a running trial: a person sees its progress, a monitor may end its method."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from torch import nn

from erasure.core.task import Report
from erasure.trial.trial import Trial


@dataclass
class Progress:
    """Stages with a progress bar on a terminal, with a line each elsewhere.

    Args:
        console: Where to show.
        seconds: Wall time of each stage so far.
        curves: Points ``(step, value)`` by name.
    """

    console: Console
    seconds: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    _open: list[Bars] = field(default_factory=list, repr=False)

    @contextmanager
    def stage(self, name: str, title: str) -> Iterator[Report]:
        """Time a block under ``name`` and yield the report of whatever runs in it.

        Values are remembered as curves named ``<name>/<value>``. Stages may be nested.
        """
        begun = time.perf_counter()
        with self._bar() as bar:
            task = bar.add_task(title, total=1, values="")

            def report(step: int, of: int, **values: float) -> None:
                for key, value in values.items():
                    self.curves.setdefault(f"{name}/{key}", []).append((step, value))
                shown = "  ".join(f"{key} {value:.3g}" for key, value in values.items())
                bar.update(task, completed=step, total=of, values=shown)

            yield report
            bar.remove_task(task)
        # a stage may be entered several times, as that of requested models
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun
        self.console.print(f"[dim]{title:<38}[/dim]{self.seconds[name]:8.2f} s")

    @contextmanager
    def _bar(self) -> Iterator[Bars]:
        """Yield the one display that a terminal can have, opened by the outermost stage.

        A second live display on one terminal raises in rich, hence the list of open ones.
        """
        if self._open:
            yield self._open[-1]
            return
        columns = (
            TextColumn("{task.description:<38}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[values]}"),
        )
        hidden = not self.console.is_terminal
        with Bars(*columns, console=self.console, transient=True, disable=hidden) as bar:
            self._open.append(bar)
            try:
                yield bar
            finally:
                self._open.pop()


def quiet_progress() -> Progress:
    """Return a progress that shows nothing, for what is one of many inside another stage."""
    return Progress(Console(quiet=True))


class Monitor(Protocol):
    """Hears of the progress of a method and may end it: a study that prunes, or a time limit.

    Attributes:
        seconds: Time it has taken itself, which is not the method's.
    """

    seconds: float

    def prepare(self, trial: Trial, original: nn.Module, gold: nn.Module) -> None:
        """Take note of what the model comes from and where it should go."""

    def limiting(self) -> AbstractContextManager[None]:
        """End what runs in a block once its time is over."""

    def watching(self, model: nn.Module, report: Report) -> Report:
        """Return a report that passes on what it hears and may raise ``PrunedError``."""
