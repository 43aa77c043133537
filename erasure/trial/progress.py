"""What a person sees of a running trial, and what is remembered of it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from erasure.core.task import Report


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
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun
        self.console.print(f"[dim]{title:<38}[/dim]{self.seconds[name]:8.2f} s")

    @contextmanager
    def _bar(self) -> Iterator[Bars]:
        """Yield the one display that a terminal can have, opened by the outermost stage."""
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
