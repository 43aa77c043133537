"""A sweep goes on through an outage of tracking and delivers when that is over."""

import io

import pytest
from outages import CALLS, SwitchedTracker
from rich.console import Console
from trials import stand_in

from erasure.launch.run import Run
from erasure.results import delivery, outage
from erasure.results.delivery import Replayed, deliver, open_run, replay
from erasure.results.record import TrialRecord, TrialResult
from erasure.results.store import ResultStore
from erasure.results.tracker import Sweep
from erasure.sweeps.grid_table import GridTable
from erasure.sweeps.records import SweepRecords
from erasure.sweeps.run_results import RunResult
from erasure.sweeps.summary import leaderboard
from erasure.training.model_store import ModelStore
from erasure.trial.objective import Objective

SWEEP = Sweep(fingerprint="f0", name="s", command="c", overrides={}, total=3, description="")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(delivery, "PAUSES", (0.0, 0.0))


@pytest.fixture
def tracker():
    return SwitchedTracker()


@pytest.fixture
def records(tmp_path, tracker):
    return SweepRecords(
        sweep=SWEEP,
        tracker=tracker,
        results=ResultStore(tmp_path),
        objective=Objective(metrics={"gap/avg": "minimize"}),
        resume=True,
        store=ModelStore(tmp_path),
        folder=tmp_path / "sweep",
    )


def run_of(number):
    record = TrialRecord(name=f"t{number}", fingerprint=f"a{number}", params={}, tags={})
    return Run(number=number, trial=stand_in(record), label="t", variant="t")


RUNS = [run_of(number) for number in range(3)]


def work(records, run, parent):
    """Do what the process of a trial does with its result."""
    record, results = run.record, records.results
    opened = open_run(records.tracker, record, parent, results.is_claimed)
    result = TrialResult(trial=record, outcome="finished", metrics={"gap/avg": 0.1})
    results.save(result)
    results.artifacts(record.fingerprint).mkdir()
    (results.artifacts(record.fingerprint) / "config.yaml").write_text("", encoding="utf-8")
    kept = deliver(records.tracker, results, result, opened, parent)
    return RunResult(run=run, state="finished", result=kept)


def sweep(records, before_trial=lambda number: None):
    """Run the sweep; return which trials ran, and what it printed."""
    console = Console(file=io.StringIO(), width=200)
    by_number = records.finished_before(RUNS)
    left = [run for run in RUNS if run.number not in by_number]
    tracking_run = ""
    if left or not records.is_closed():
        tracking_run = records.open()
        for run in left:
            before_trial(run.number)
            by_number[run.number] = work(records, run, tracking_run)
        before_trial(len(RUNS))
    results = [by_number[run.number] for run in RUNS]
    if tracking_run:
        results, tracking_run = records.deliver(results, tracking_run)
    table = GridTable(run_results=results, board=leaderboard(results, records.objective))
    summary = records.summarize(table, tracking_run)
    if tracking_run:
        records.close(summary, console)
    records.show_tracking(console, tracking_run)
    return [run.number for run in left], console.file.getvalue()


def all_tracked(tracker):
    every = [(run.record.fingerprint, "the sweep", "finished") for run in RUNS]
    return tracker.tracked == every and tracker.runs["the sweep"][2] == "finished"


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("calls", [*((call,) for call in CALLS), CALLS])
def test_whatever_fails_every_trial_has_its_result_and_the_same_command_delivers(
    records, tracker, calls, answers
):
    tracker.failing = {*calls, *(() if answers else ("check",))}
    ran, _ = sweep(records)
    assert ran == [0, 1, 2]
    assert all(records.results.finished(run.record.fingerprint) for run in RUNS)
    tracker.failing = set()
    outage.probe(tracker)
    ran, out = sweep(records)
    assert ran == []
    assert "wait" not in out
    assert all_tracked(tracker)
    assert records.results.waiting() == {}
    tracker.calls.clear()
    assert sweep(records)[0] == []
    assert set(tracker.calls) == {"has"}


def test_a_server_that_fails_in_the_middle_says_at_the_end_what_waits(records, tracker):
    def fail(number):
        tracker.failing = {*CALLS, "check"} if number >= 1 else set()

    ran, out = sweep(records, fail)
    assert ran == [0, 1, 2]
    store = records.results.root.parent
    command = f"`python -m erasure deliver replay --store {store} --uri {tracker.uri}`"
    assert (
        f"2 results wait on disk to be tracked; the same command sends them, or {command}" in out
    )
    assert [kept[2] for kept in tracker.tracked] == ["finished"]


def test_a_server_that_comes_back_before_the_end_gets_all_of_it_then(records, tracker):
    def fail(number):
        tracker.failing = {*CALLS, "check"} if number == 1 else set()

    sweep(records, fail)
    assert all_tracked(tracker)


def test_a_server_that_failed_is_not_asked_again_by_each_trial(records, tracker):
    tracker.failing = set(CALLS)
    sweep(records)
    assert len(tracker.calls) <= 2  # the first one, and once more at the end


def test_replay_sends_below_the_run_of_the_sweep(records, tracker):
    def fail(number):
        tracker.failing = {*CALLS, "check"} if number >= 1 else set()

    sweep(records, fail)
    tracker.failing = set()
    outage.probe(tracker)
    assert replay(tracker, records.results) == Replayed(sent=2, kept=0, busy=0)
    assert [kept[1:] for kept in tracker.tracked] == [("the sweep", "finished")] * 3


def test_while_nobody_can_be_asked_what_was_tracked_is_not_run_again(records, tracker):
    sweep(records)
    tracker.failing = set(CALLS)
    assert sweep(records)[0] == []


def test_a_trial_by_itself_does_not_wait_for_a_sweep(records, tracker):
    tracker.failing = set(CALLS)
    work(records, run_of(7), "")
    outage.probe(tracker)
    tracker.failing = set()
    sweep(records)
    assert all_tracked(tracker)
    assert records.results.waiting() == {"a7": ""}
    assert replay(tracker, records.results) == Replayed(sent=1, kept=0, busy=0)
