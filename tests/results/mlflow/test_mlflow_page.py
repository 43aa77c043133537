"""The database, the experiment and its page, prepared once by whoever comes first."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from erasure.core.errors import ConfigError
from erasure.results.mlflow.page import LEADERBOARD, MEANS, SCATTER, page_tags
from erasure.results.mlflow.tracker import MLflowTracker

VIEW = "mlflow.sharedViewState."


def test_preparing_twice_keeps_what_people_changed(tracker, client):
    tracker.prepare()
    experiment = client.get_experiment_by_name("erasure")
    client.set_experiment_tag(experiment.experiment_id, "mlflow.note.content", "mine")
    tracker.prepare()
    again = client.get_experiment_by_name("erasure")
    assert again.experiment_id == experiment.experiment_id
    assert again.tags == {**experiment.tags, "mlflow.note.content": "mine"}


def test_an_older_page_is_brought_up_to_date(tracker, client):
    tracker.prepare()
    experiment = client.get_experiment_by_name("erasure").experiment_id
    client.set_experiment_tag(experiment, "erasure.page", "older")
    client.set_experiment_tag(experiment, f"{VIEW}{LEADERBOARD}", "older")
    tracker.prepare()
    tags = client.get_experiment(experiment).tags
    assert json.loads(tags[f"{VIEW}{LEADERBOARD}"])["name"] == "Leaderboard"


def test_a_deleted_experiment_is_refused(tracker, client):
    tracker.prepare()
    client.delete_experiment(client.get_experiment_by_name("erasure").experiment_id)
    with pytest.raises(ConfigError, match=r"^experiment must not be deleted, got 'erasure'"):
        tracker.prepare()


def test_views_are_what_the_page_reads():
    tags = page_tags()
    views = {key: json.loads(tags[f"{VIEW}{key}"]) for key in (LEADERBOARD, MEANS, SCATTER)}
    states = {key: json.loads(view["state"]) for key, view in views.items()}
    assert max(map(len, tags.values())) < 20_000
    assert states[LEADERBOARD]["orderByKey"] == "metrics.`gap/avg`"
    assert states[LEADERBOARD]["selectedColumns"][0] == "metrics.`gap/avg`"
    group = states[MEANS]["groupBy"]
    assert group["aggregateFunction"] == "average"
    assert "seed" not in {key["groupByData"] for key in group["groupByKeys"]}
    sections = {section["uuid"] for section in states[SCATTER]["compareRunSections"]}
    charts = states[SCATTER]["compareRunCharts"]
    assert {chart["metricSectionId"] for chart in charts} == sections
    axes = (charts[0]["xaxis"]["key"], charts[0]["yaxis"]["key"])
    assert axes == ("retain/accuracy", "forget/accuracy")


def test_the_page_has_a_version_that_depends_on_its_content_alone():
    assert page_tags()["erasure.page"] == page_tags()["erasure.page"]


def test_the_address_is_a_command_and_the_page_a_link(tracker, client):
    assert tracker.address() == f"mlflow ui --backend-store-uri {tracker.uri}"
    link = tracker.page()
    experiment = client.get_experiment_by_name("erasure").experiment_id
    assert link.startswith(f"http://127.0.0.1:5000/#/experiments/{experiment}/runs?workflowType=")
    assert link.endswith(LEADERBOARD)


@pytest.mark.slow
def test_processes_that_start_at_once_share_one_database(tmp_path):
    """Also after a process was killed while it created the tables."""
    path = tmp_path / "mlruns" / "mlflow.db"
    path.parent.mkdir()
    path.with_name("mlflow.db.partial").write_bytes(b"half a database")
    code = f"""
import multiprocessing
from pathlib import Path
import mlflow.store.tracking.sqlalchemy_store
from erasure.results.record import TrialRecord, TrialResult
from erasure.results.mlflow.tracker import MLflowTracker

def work(me, barrier):
    tracker = MLflowTracker(uri="sqlite:///{path}")
    barrier.wait()
    tracker.prepare()
    trial = TrialRecord(name=me, fingerprint=me, params={{"me": me}}, tags={{}})
    result = TrialResult(trial=trial, outcome="finished", metrics={{"me": float(me)}})
    tracker.finish(tracker.start(trial), result, Path("missing"))

fork = multiprocessing.get_context("fork")  # MLflow is imported once, not four times
barrier = fork.Barrier(4)
workers = [fork.Process(target=work, args=(str(i), barrier)) for i in range(4)]
[worker.start() for worker in workers]
[worker.join() for worker in workers]
raise SystemExit(str([worker.exitcode for worker in workers]))
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "[0, 0, 0, 0]"
    with closing(sqlite3.connect(path)) as connection:
        mode = connection.execute("PRAGMA journal_mode").fetchone()
        names = connection.execute("SELECT name FROM experiments ORDER BY name").fetchall()
        runs = connection.execute("SELECT name, status FROM runs ORDER BY name").fetchall()
        values = connection.execute("SELECT value FROM metrics WHERE key = 'me'").fetchall()
    assert mode == ("wal",)
    assert names == [("Default",), ("erasure",)]
    assert runs == [(str(i), "FINISHED") for i in range(4)]
    assert sorted(values) == [(0.0,), (1.0,), (2.0,), (3.0,)]
    assert not list(path.parent.glob("*.partial*"))


def test_settings_can_be_read_without_loading_mlflow_or_torch():
    code = """
import sys, erasure.cli.deliver, erasure.results.no_tracker
raise SystemExit(str({"mlflow", "torch", "pandas"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == "set()"


@pytest.mark.slow
def test_a_database_that_was_deleted_is_created_again(tracker, trial, tmp_path):
    tracker.start(trial)
    for file in (tmp_path / "mlruns").glob("mlflow.db*"):
        file.unlink()
    run = tracker.start(trial)
    fresh = MLflowTracker(uri=tracker.uri)
    assert fresh.reap(lambda _: True) == 0
    with closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as connection:
        assert connection.execute("SELECT run_uuid FROM runs").fetchall() == [(run,)]
