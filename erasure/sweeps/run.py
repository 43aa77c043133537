"""The story of a sweep, whatever its source: check, resume, hand out, write down, sum up."""

from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Console
from rich.text import Text

from erasure.core.errors import ErasureError
from erasure.launch.interrupts import INTERRUPTED, Stop
from erasure.launch.jobs import JobResult
from erasure.launch.launcher import Launcher, LaunchRequest, patience
from erasure.launch.run import Run
from erasure.sweeps.files import SummaryTable
from erasure.sweeps.progress import progress
from erasure.sweeps.records import SweepRecords
from erasure.sweeps.run_results import EarlierResults, RunResult
from erasure.sweeps.source import ProgressLine, Source, Workload

GOES_ON = "; the same command goes on"


class SweepError(ErasureError):
    """Some of a sweep has no result."""


def run_sweep(
    source: Source,
    launcher: Launcher,
    stop: Stop,
    console: Console,
    on_start: Callable[[], None] = lambda: None,
) -> list[RunResult]:
    """Carry out every run of ``source`` that has no result yet, and sum up.

    Args:
        source: Where runs come from.
        launcher: Carries them out.
        stop: When the source starts nothing new.
        console: Where to say how it goes.
        on_start: Called before the first run, if there is anything to run or to write down.

    Raises:
        ErasureError: If something cannot run; then nothing was. Or, when all is summed up, if
            something has no result.
        KeyboardInterrupt: After Ctrl-C, when what finished until then is summed up.
    """
    records = source.records
    with console.status("checking"):
        workload = _check(source, launcher)
    console.print(Text(workload.text), soft_wrap=True)
    is_done = workload.done >= workload.total and records.is_closed()
    table, error, tracking_run = (source.table([], "") if is_done else None), None, ""
    if table is None or not table.is_written(records.folder):
        on_start()
        tracking_run = records.open()
        queue = RunQueue(source=source, records=records)
        error = _carry_out(queue, launcher, workload, tracking_run, stop, console)
        run_results = source.table(queue.run_results, stop.reason).run_results
        run_results, tracking_run = records.deliver(run_results, tracking_run)
        table = source.table(run_results, stop.reason)
        records.close(records.summarize(table, tracking_run), console)
    table.show(console)
    records.show_tracking(console, tracking_run)
    # Whatever ended the sweep early is raised only now, when all that finished is summed up
    if error is not None:
        raise error
    _raise_for_missing(table, stop)
    return list(table.run_results)


@dataclass(kw_only=True)
class RunQueue:
    """Hands out the runs of a source, and tells it what came of them.

    Args:
        source: Where runs come from.
        records: Where results are looked up.
        show: Called with what there is to show of each run, or trial of a study, that ended.
        run_results: What came of the runs so far.
    """

    source: Source
    records: SweepRecords
    show: Callable[[ProgressLine], None] = lambda _: None
    run_results: list[RunResult] = field(default_factory=list)
    _handed_out: dict[int, tuple[Run, EarlierResults]] = field(default_factory=dict)

    def next_run(self) -> Run | None:
        """Return a run that has to be carried out, or None if there is none now.

        What finished before, here or in another sweep, is read back on the way.
        """
        while (run := self.source.ask()) is not None:
            finished = self.records.finished_before([run])
            if run.number not in finished:
                self._handed_out[run.number] = (run, self.records.earlier_results([run]))
                return run
            self._tell(run, finished[run.number])
        return None

    def record(self, run: Run, job_result: JobResult) -> None:
        """Take note of a run that was handed out and ended."""
        _, earlier = self._handed_out.pop(run.number)
        self._tell(run, earlier.run_result(run, job_result))

    def record_unreported(self) -> None:
        """Take note of runs of whose end nobody heard, but which left a result all the same."""
        for run, earlier in self._handed_out.values():
            run_result = earlier.run_result(run, None)
            if run_result.state == "finished":
                self._tell(run, run_result)

    def _tell(self, run: Run, run_result: RunResult) -> None:
        self.run_results.append(run_result)
        line = self.source.tell(run, run_result)
        if line is not None:
            self.show(line)


def _check(source: Source, launcher: Launcher) -> Workload:
    """Refuse what cannot run, while the launcher gets ready: both take seconds."""
    source.records.check()
    left = source.left()
    if left:
        launcher.warm_up(left)
    return source.check()


def _carry_out(
    queue: RunQueue,
    launcher: Launcher,
    workload: Workload,
    tracking_run: str,
    stop: Stop,
    console: Console,
) -> BaseException | None:
    """Run what is left, and return what ended the sweep early."""
    source = queue.source
    if workload.done >= workload.total:
        return None
    request = LaunchRequest(
        next_run=queue.next_run,
        on_end=queue.record,
        like=workload.like,
        tracking_run=tracking_run,
        batch=source.batch,
    )
    error: BaseException | None = None
    bar = progress(workload.total, workload.done, source.best, console)
    with patience(launcher, stop, console), bar as show, source.opened():

        def show_and_stop(line: ProgressLine) -> None:
            if line.outcome == "failed":
                stop.hear_of_failure()
            show(line)

        queue.show = show_and_stop
        try:
            launcher.run(request)
        except BaseException as caught:  # noqa: BLE001  # raised again when all is summed up
            error, stop.reason = caught, stop.reason or str(caught) or INTERRUPTED
        queue.record_unreported()
    return error


def _raise_for_missing(table: SummaryTable, stop: Stop) -> None:
    """Raise what the exit code and the last line of a sweep with missing results are."""
    if stop.reason == INTERRUPTED and not table.is_over:
        raise KeyboardInterrupt
    problem = table.problem(stop.reason)
    if problem:
        raise SweepError(problem + (GOES_ON if stop.reason and not table.is_over else ""))
