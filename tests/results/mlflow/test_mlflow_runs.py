"""What a finished, failed and repeated trial looks like in MLflow."""

import logging
import os
import socket
import subprocess
import sys
from dataclasses import replace

import pytest

from erasure.core.errors import ConfigError, TrackingError
from erasure.results import RunLostError
from erasure.results.mlflow.tracker import MLflowTracker


def listed(client, run, folder=None):
    return sorted(file.path for file in client.list_artifacts(run, folder))


def test_a_trial_is_running_until_it_is_finished(tracker, client, trial):
    run = client.get_run(tracker.start(trial))
    assert run.info.run_name == trial.name
    assert run.info.status == "RUNNING"
    tags = run.data.tags
    assert trial.tags.items() <= tags.items()
    assert tags["erasure.fingerprint"] == trial.fingerprint
    assert tags["erasure.host"] == socket.gethostname()
    assert tags["erasure.pid"] == str(os.getpid())
    assert tags["mlflow.runColor"] == "#CC79A7"
    assert "mlflow.parentRunId" not in tags
    assert not tracker.has(run.info.run_id)


def test_a_finished_trial_has_everything(tracker, client, result, artifacts):
    run = tracker.start(result.trial, started=result.started)
    tracker.finish(run, result, artifacts)
    stored = client.get_run(run)
    assert stored.info.status == "FINISHED"
    assert stored.info.start_time == 1_700_000_000_000
    assert stored.info.end_time == 4_000_000_000_000
    assert stored.data.params == result.trial.params
    assert stored.data.metrics == {
        "forget/accuracy": 0.25,
        "gap/avg": 0.125,
        "unlearn/loss": 0.5,
        "seconds/unlearn": 1.5,
        "cost/models_trained": 2.0,
    }
    assert stored.data.tags["erasure.outcome"] == "finished"
    assert "erasure.reason" not in stored.data.tags
    assert listed(client, run) == ["metrics.json", "plots"]
    assert listed(client, run, "plots") == ["plots/roc.svg"]
    curve = client.get_metric_history(run, "unlearn/loss")
    assert [(point.step, point.value) for point in curve] == [(0, 2.0), (1, 1.0), (2, 0.5)]
    assert tracker.has(run)


def test_artifacts_lie_beside_the_database_wherever_the_process_runs(
    tracker, client, result, artifacts, tmp_path, monkeypatch
):
    run = tracker.start(result.trial)
    monkeypatch.chdir(artifacts)
    tracker.finish(run, result, artifacts)
    file = tmp_path / "mlruns" / "artifacts" / "erasure" / run / "artifacts" / "metrics.json"
    assert file.read_text() == "{}"


@pytest.mark.parametrize("outcome", ["failed", "diverged"])
def test_a_failed_trial_says_why(tracker, client, result, tmp_path, outcome):
    failed = replace(result, outcome=outcome, reason="it broke", traceback="line 1\nline 2\n")
    run = tracker.start(result.trial)
    tracker.finish(run, failed, tmp_path / "missing")
    stored = client.get_run(run)
    assert stored.info.status == "FAILED"
    assert stored.data.tags["erasure.outcome"] == outcome
    assert stored.data.tags["erasure.reason"] == "it broke"
    assert listed(client, run) == ["traceback.txt"]
    assert not tracker.has(run)


def test_finishing_again_changes_nothing(tracker, client, result, artifacts):
    curves = {"loss": [(0, 1.0), (1, float("nan")), (2, float("inf"))]}
    result = replace(result, curves=curves)
    run = tracker.start(result.trial)
    tracker.finish(run, result, artifacts)
    tracker.finish(run, result, artifacts)
    assert len(client.get_metric_history(run, "loss")) == 3
    assert len(client.get_metric_history(run, "gap/avg")) == 1
    assert tracker.has(run)


def test_more_than_one_batch_arrives_whole(tracker, client, result, tmp_path):
    params = {f"key{i}": str(i) for i in range(230)}
    curve = [(step, float(step)) for step in range(2100)]
    large = replace(result, trial=replace(result.trial, params=params), curves={"loss": curve})
    run = tracker.start(large.trial)
    tracker.finish(run, large, tmp_path / "missing")
    assert client.get_run(run).data.params == params
    assert len(client.get_metric_history(run, "loss")) == 2100


def test_a_deleted_run_is_lost(tracker, client, result, tmp_path):
    run = tracker.start(result.trial)
    tracker.finish(run, result, tmp_path / "missing")
    client.delete_run(run)
    assert not tracker.has(run)
    assert tracker.find(result) == ""
    with pytest.raises(RunLostError):
        tracker.finish(run, result, tmp_path / "missing")


def test_unknown_runs_are_not_there(tracker, tmp_path):
    assert not tracker.has("")
    assert not tracker.has("none")
    elsewhere = MLflowTracker(uri=f"sqlite:///{tmp_path}/other/mlflow.db")
    assert not elsewhere.has("none")
    assert elsewhere.reap(lambda _: False) == 0
    assert not (tmp_path / "other").exists()


def test_the_run_that_waits_for_a_result_is_found(tracker, result, tmp_path):
    assert tracker.find(result) == ""
    run = tracker.start(result.trial)
    assert tracker.find(result) == run
    tracker.finish(run, result, tmp_path / "missing")
    assert tracker.find(result) == run
    assert tracker.find(replace(result, started=result.started + 1)) == ""


@pytest.mark.slow
def test_another_process_reports_below_its_parent(tracker, client, trial):
    parent = tracker.start(trial)
    code = f"""
from erasure.results.record import TrialRecord
from erasure.results.mlflow.tracker import MLflowTracker
trial = TrialRecord(name="child", fingerprint="child", params={{}}, tags={{}})
print(MLflowTracker(uri={tracker.uri!r}).start(trial, {parent!r}))
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    run = done.stdout.strip()
    assert client.get_run(run).data.tags["mlflow.parentRunId"] == parent
    assert tracker.reap(lambda fingerprint: fingerprint == "child") == 0
    assert tracker.reap(lambda _: False) == 1
    stored = client.get_run(run)
    assert stored.info.status == "FAILED"
    assert stored.data.tags["erasure.reason"] == "the process died"
    assert client.get_run(parent).info.status == "RUNNING"
    assert tracker.reap(lambda _: False) == 0


def test_a_reaped_run_takes_the_result_after_all(tracker, client, result, tmp_path):
    run = tracker.start(result.trial)
    client.set_tag(run, "erasure.born", "0")
    assert tracker.reap(lambda _: False) == 1
    assert tracker.find(result) == run
    tracker.finish(run, result, tmp_path / "missing")
    stored = client.get_run(run)
    assert stored.info.status == "FINISHED"
    assert stored.data.tags["erasure.outcome"] == "finished"
    assert stored.data.tags["erasure.reason"] == ""


def test_runs_of_other_machines_are_left_alone(tracker, client, trial):
    run = tracker.start(trial)
    client.set_tag(run, "erasure.host", "elsewhere")
    client.set_tag(run, "erasure.born", "0")
    assert tracker.reap(lambda _: False) == 0
    assert client.get_run(run).info.status == "RUNNING"


def test_a_run_that_finished_meanwhile_is_left_alone(tracker, client, result, tmp_path):
    run = tracker.start(result.trial)
    client.set_tag(run, "erasure.born", "0")

    def finishes_now(_):
        tracker.finish(run, result, tmp_path / "missing")
        return False

    assert tracker.reap(finishes_now) == 0
    assert tracker.has(run)


def test_calls_are_quiet_and_leave_no_trace(tracker, trial, capfd, monkeypatch):
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    before = dict(os.environ), logging.getLogger("mlflow").level
    tracker.start(trial)
    assert (dict(os.environ), logging.getLogger("mlflow").level) == before
    assert capfd.readouterr() == ("", "")


def test_a_relative_database_is_found_from_everywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert MLflowTracker().uri == f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    assert MLflowTracker(uri="http://host:5000").uri == "http://host:5000"


def test_an_experiment_needs_a_name():
    with pytest.raises(ConfigError, match=r"^experiment must be a name, got ' '"):
        MLflowTracker(experiment=" ")


def test_a_damaged_database_is_a_tracking_error(tmp_path, trial):
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(TrackingError, match="not a database"):
        MLflowTracker(uri=f"sqlite:///{path}").start(trial)
