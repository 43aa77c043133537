"""The parent run of a sweep."""

from dataclasses import replace

import pytest

from erasure.results import Sweep


@pytest.fixture
def sweep():
    return Sweep(
        fingerprint="sweep-1",
        name="2 unlearners x 3 seeds",
        command="python run.py -m unlearner=scrub,retrain seed=0,1,2",
        overrides={"unlearner": "scrub,retrain", "seed": "0,1,2"},
        total=6,
        description="**6 trials**",
        tags={"tuning.trials": "6"},
    )


def test_a_sweep_is_a_run_with_its_command(tracker, client, sweep):
    stored = client.get_run(tracker.start_sweep(sweep))
    assert stored.info.run_name == sweep.name
    assert stored.info.status == "RUNNING"
    assert stored.data.params == sweep.overrides
    assert stored.data.metrics == {"sweep/trials": 6.0}
    assert stored.data.tags["erasure.command"] == sweep.command
    assert stored.data.tags["tuning.trials"] == "6"
    assert stored.data.tags["mlflow.note.content"] == "**6 trials**"


@pytest.mark.parametrize(("failed", "status"), [(0, "FINISHED"), (2, "FAILED")])
def test_a_sweep_ends_with_its_summary(tracker, client, sweep, artifacts, failed, status):
    run = tracker.start_sweep(sweep)
    tracker.finish_sweep(run, "| a table |", artifacts, failed)
    stored = client.get_run(run)
    assert stored.info.status == status
    assert stored.data.metrics == {"sweep/trials": 6.0, "sweep/failed": float(failed)}
    assert stored.data.tags["mlflow.note.content"] == "| a table |"
    assert {file.path for file in client.list_artifacts(run)} >= {"summary.md", "metrics.json"}


def test_a_long_summary_is_cut_with_a_mark_and_kept_whole_as_a_file(
    tracker, client, sweep, tmp_path
):
    run = tracker.start_sweep(sweep)
    tracker.finish_sweep(run, "x" * 9000, tmp_path / "missing", 0)
    note = client.get_run(run).data.tags["mlflow.note.content"]
    assert len(note) == 8000
    assert note.endswith("x ... [cut, 9000 characters in all]")
    whole = tmp_path / "mlruns" / "artifacts" / "erasure" / run / "artifacts" / "summary.md"
    assert len(whole.read_text()) == 9000


def test_the_same_sweep_again_continues_the_same_run(tracker, client, sweep, tmp_path):
    run = tracker.start_sweep(sweep)
    tracker.finish_sweep(run, "summary", tmp_path / "missing", 1)
    assert tracker.start_sweep(replace(sweep, total=9, tags={"tuning.trials": "9"})) == run
    stored = client.get_run(run)
    assert stored.data.tags["tuning.trials"] == "9"
    assert stored.info.status == "RUNNING"
    assert stored.data.metrics["sweep/trials"] == 9.0
    assert tracker.start_sweep(replace(sweep, fingerprint="sweep-2")) != run


def test_only_the_sweep_of_a_dead_process_is_reaped(tracker, client, sweep):
    run = tracker.start_sweep(sweep)
    assert tracker.reap(lambda _: False) == 0
    client.set_tag(run, "erasure.born", "0")
    assert tracker.reap(lambda _: True) == 1
    assert client.get_run(run).info.status == "FAILED"
    assert tracker.start_sweep(sweep) == run
    assert tracker.reap(lambda _: False) == 0
