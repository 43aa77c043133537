"""The results of a sweep that an outage of tracking left on disk, and their way out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from rich.console import Console
from rich.text import Text

from erasure.results.delivery import replay_command, send
from erasure.results.outage import probe
from erasure.results.store import ResultStore
from erasure.results.tracker import UNOPENED, Tracker
from erasure.sweeps.run_results import RunResult


@dataclass(frozen=True, kw_only=True)
class Undelivered:
    """The results of one sweep that are on disk and not tracked.

    Args:
        tracker: Where they go.
        results: Where they are.
        fingerprint: Of the sweep.
    """

    tracker: Tracker
    results: ResultStore
    fingerprint: str

    @property
    def unopened(self) -> str:
        """What stands for the run of the sweep until it can be opened."""
        return f"{UNOPENED}{self.fingerprint}"

    def below(self, tracking_run: str) -> list[str]:
        """Return the fingerprints of the trials of the sweep whose results wait.

        Args:
            tracking_run: The run of the sweep, or empty if nobody knows it.
        """
        if not self.tracker.uri:  # nobody waits to be shown to nobody
            return []
        parents = {tracking_run or self.unopened, self.unopened}
        waiting = self.results.waiting().items()
        return [fingerprint for fingerprint, parent in waiting if parent in parents]

    def add(self, run_results: Iterable[RunResult]) -> None:
        """Note that those wait which finished before and were never tracked."""
        for run_result in run_results:
            if run_result.result and not run_result.result.run:
                self.results.wait(run_result.run.record.fingerprint, self.unopened)

    def send(self, tracking_run: str, reopen: Callable[[], str]) -> str:
        """Send all that wait if tracking works by now, and return the run of the sweep.

        Args:
            tracking_run: The run of the sweep, or what stands for it.
            reopen: Opens it.
        """
        waiting = self.below(tracking_run)
        if not (waiting or tracking_run == self.unopened) or probe(self.tracker):
            return tracking_run
        if tracking_run == self.unopened:
            tracking_run = reopen()
        if tracking_run != self.unopened:
            send(self.tracker, self.results, dict.fromkeys(waiting, tracking_run))
        return tracking_run

    def updated(self, run_results: Sequence[RunResult]) -> list[RunResult]:
        """Return the results with the tracking runs that hold them by now."""
        return [self._updated(run_result) for run_result in run_results]

    def show(self, tracking_run: str, console: Console) -> None:
        """Print in one line how many wait and what sends them, if any do."""
        count = len(self.below(tracking_run))
        if not count:
            return
        wait = "1 result waits" if count == 1 else f"{count} results wait"
        command = replay_command(self.tracker, self.results)
        line = f"{wait} on disk to be tracked; the same command sends them, or `{command}`"
        console.print(Text(line, style="yellow"), soft_wrap=True)

    def _updated(self, run_result: RunResult) -> RunResult:
        if run_result.result is None or run_result.result.run:
            return run_result
        result = self.results.find(run_result.run.record.fingerprint)
        return replace(run_result, result=result or run_result.result)
