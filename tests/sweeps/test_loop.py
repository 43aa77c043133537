"""The loop of a sweep, with runs that are plain numbers: no Hydra, no training, no processes."""

import io
import json
import os
from functools import partial

import pytest
from rich.console import Console
from trials import stand_in

from erasure.launch.interrupts import Stop
from erasure.launch.jobs import Job, JobResult
from erasure.launch.launcher import InProcess
from erasure.launch.local import LocalWorkers
from erasure.launch.run import Run
from erasure.launch.slots import Resources
from erasure.results.no_tracker import NOWHERE, NoTracker
from erasure.results.record import TrialRecord, TrialResult
from erasure.results.store import ResultStore
from erasure.results.tracker import Sweep
from erasure.sweeps import grid
from erasure.sweeps.grid import Grid
from erasure.sweeps.records import SweepRecords
from erasure.sweeps.run import RunQueue, SweepError, run_sweep
from erasure.training.model_store import ModelStore
from erasure.trial.objective import Objective

GAP = Objective(metrics={"gap/avg": "minimize"})


def run_of(number):
    name = f"number {number}"
    tags = {"unlearner": name, "dataset": "none"}
    record = TrialRecord(name=name, fingerprint=f"f{number}", params={}, tags=tags)
    trial = stand_in(record, number=number)
    return Run(number=number, trial=trial, label=name, variant=name)


class Swept:
    """A sweep over numbers, of which some fail, in a folder."""

    def __init__(self, root, numbers, fails=(), stop=None):
        self.stop, self.fails, self.ran = stop or Stop(), fails, []
        self.results = ResultStore(root)
        self.runs = {number: run_of(number) for number in numbers}
        self.records = SweepRecords(
            sweep=Sweep(
                fingerprint="s", name="numbers", command="python", overrides={},
                total=len(numbers), description="",
            ),
            tracker=NoTracker(),
            results=self.results,
            objective=GAP,
            resume=True,
            store=ModelStore(root),
            folder=root / "sweeps",
        )  # fmt: skip
        self.grid = Grid(runs=list(self.runs.values()), records=self.records, stop=self.stop)
        self.out = io.StringIO()

    def call(self, number):
        self.ran.append(number)
        if number in self.fails:
            raise ValueError("too odd")
        metrics = {"gap/avg": number / 10}
        record = self.runs[number].record
        self.results.save(
            TrialResult(trial=record, outcome="finished", metrics=metrics, run=NOWHERE)
        )

    def run(self, launcher=None):
        launcher = launcher or InProcess(call=self.call, to_job=self.to_job)
        return run_sweep(self.grid, launcher, self.stop, Console(file=self.out, width=200))

    def to_job(self, run, tracking_run):
        log = self.results.root / f"{run.number}.log"
        return Job(number=run.number, payload=run.trial.settings["number"], log=log)


@pytest.fixture(autouse=True)
def _nothing_to_train(monkeypatch):
    monkeypatch.setattr(grid, "required_models", lambda runs: [])


def test_a_list_is_carried_out_in_this_process_and_read_back_then(tmp_path):
    first = Swept(tmp_path, [1, 2])
    assert [r.metrics["gap/avg"] for r in first.run()] == [0.1, 0.2]
    assert "2 trials to run" in first.out.getvalue()
    larger = Swept(tmp_path, [3, 2, 1])
    assert [r.read_back for r in larger.run()] == [False, True, True]
    assert larger.ran == [3]
    files = json.loads((tmp_path / "sweeps" / "sweep.json").read_text())
    assert [trial["name"] for trial in files["trials"]] == ["number 3", "number 2", "number 1"]


@pytest.mark.slow
def test_processes_carry_out_what_is_no_configuration(tmp_path):
    swept = Swept(tmp_path, [1, 2, 3], fails=[2])
    resources = Resources(n_jobs=2, gpus="none")
    call = partial(carry_out, tmp_path)
    workers = LocalWorkers(call=call, to_job=swept.to_job, resources=resources)
    with pytest.raises(SweepError, match=r"^1 of 3 trials failed$"):
        swept.run(workers)
    out = swept.out.getvalue()
    assert "number 2: the worker died (exit code 7) (log: " in out
    assert "3 trials: 2 finished, 1 failed" in out


def carry_out(root, number):
    if number == 2:
        os._exit(7)
    Swept(root, [number]).call(number)


def test_one_failure_does_not_end_a_sweep(tmp_path):
    swept = Swept(tmp_path, [1, 2, 3], fails=[2])
    with pytest.raises(SweepError, match=r"^1 of 3 trials failed$"):
        swept.run()
    assert swept.ran == [1, 2, 3]
    assert "number 2: ValueError: too odd" in swept.out.getvalue()


def test_the_first_failure_ends_a_sweep_that_wants_it_and_the_same_command_goes_on(tmp_path):
    swept = Swept(tmp_path, [1, 2, 3], fails=[2], stop=Stop.after(None, at_first_failure=True))
    message = r"^stopped at the first failure .*: 2 of 3 trials have no result; the same command"
    with pytest.raises(SweepError, match=message):
        swept.run()
    assert swept.ran == [1, 2]
    assert "3 trials: 1 finished, 1 failed, 1 not run" in swept.out.getvalue()
    again = Swept(tmp_path, [1, 2, 3], stop=Stop.after(None, at_first_failure=True))
    again.run()
    assert again.ran == [2, 3]


def test_what_another_process_finished_meanwhile_is_read_back(tmp_path):
    swept = Swept(tmp_path, [1, 2])
    swept.grid.left()
    queue = RunQueue(source=swept.grid, records=swept.records)
    swept.call(1)
    assert queue.next_run().number == 2
    assert [(r.run.number, r.read_back) for r in queue.run_results] == [(1, True)]


def test_a_result_counts_although_nobody_reported_the_end(tmp_path):
    swept = Swept(tmp_path, [1, 2])
    swept.grid.left()
    queue = RunQueue(source=swept.grid, records=swept.records)
    for _ in range(2):
        queue.next_run()
    swept.call(2)
    queue.record_unreported()
    states = [(r.run.number, r.state) for r in swept.grid.table([], "").run_results]
    assert states == [(1, "not run"), (2, "finished")]


def test_a_result_says_more_than_the_end_of_a_process(tmp_path):
    swept = Swept(tmp_path, [1, 2])
    earlier = swept.records.earlier_results(swept.grid.runs)
    swept.call(1)
    died = JobResult(number=1, seconds=1.0, error="the worker died", died=True)
    states = [earlier.run_result(run, died) for run in swept.grid.runs]
    assert [(r.state, r.died) for r in states] == [("finished", False), ("failed", True)]


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_a_switch_is_true_or_false(value):
    message = "hydra.sweeper.stop_at_first_failure must be true or false, got "
    with pytest.raises(Exception, match=message):
        Stop.after(None, at_first_failure=value)
