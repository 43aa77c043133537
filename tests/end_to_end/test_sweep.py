"""A grid: nothing trains twice, nothing is lost, nothing runs twice."""

import os
import signal
import sqlite3
import subprocess
import sys

import pytest
from patience import HANGS, wait_until
from running import ROOT, models, results

pytestmark = pytest.mark.slow


GRID = ["--multirun", "unlearner=identity,retrain,finetune,scrub", "seed=0,1"]


def statuses(folder):
    with sqlite3.connect(folder / "mlruns" / "mlflow.db") as database:
        return [s for (s,) in database.execute("select status from runs")]


@pytest.fixture(scope="module")
def killed(tmp_path_factory, environment):
    """Start the grid and kill every process of it in the middle."""
    folder = tmp_path_factory.mktemp("sweep")
    sweep = subprocess.Popen(
        [sys.executable, str(ROOT / "run.py"), *GRID],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(lambda: sum(bool(r["run"]) for r in results(folder)) >= 2, "the second trial")
    os.killpg(sweep.pid, signal.SIGKILL)
    sweep.wait()
    return folder, [r["trial"]["fingerprint"] for r in results(folder)]


@pytest.fixture(scope="module")
def resumed(killed, erasure):
    folder, before = killed
    assert 2 <= len(before) < 8
    return folder, before, erasure(folder, *GRID)


def test_a_killed_sweep_continues_where_it_stopped(resumed):
    folder, before, again = resumed
    assert again.returncode == 0, again.stderr
    assert "finished before" in again.stdout
    trial_results = results(folder)
    assert len(trial_results) == 8
    assert {r["outcome"] for r in trial_results} == {"finished"}
    assert set(before) <= {r["trial"]["fingerprint"] for r in trial_results}


def test_two_seeds_train_two_originals_and_two_golds(resumed):
    folder, _, _ = resumed
    assert len(models(folder)) == 4


def test_the_database_has_one_parent_and_eight_finished_children(resumed):
    folder, _, _ = resumed
    with sqlite3.connect(folder / "mlruns" / "mlflow.db") as database:
        children = database.execute(
            "select r.status, r.name from runs r join tags t on t.run_uuid = r.run_uuid "
            "where t.key = 'mlflow.parentRunId'"
        ).fetchall()
        parents = database.execute(
            "select count(distinct value) from tags where key = 'mlflow.parentRunId'"
        ).fetchone()[0]
    assert parents == 1
    assert "RUNNING" not in statuses(folder)
    finished = sorted(name for status, name in children if status == "FINISHED")
    assert len(finished) == 8
    assert len(set(finished)) == 8


def test_the_same_command_again_runs_nothing_and_says_so(resumed, erasure):
    folder, _, _ = resumed
    runs = len(statuses(folder))
    third = erasure(folder, *GRID)
    assert third.returncode == 0, third.stderr
    assert "8 finished before" in third.stdout
    assert len(statuses(folder)) == runs


def test_a_bad_trial_does_not_end_the_sweep(resumed, erasure):
    folder, _, _ = resumed
    done = erasure(
        folder, "--multirun", "unlearner=grad_ascent", "unlearner.fit.optimizer.lr=0.0001,1e30"
    )
    assert done.returncode == 1
    assert "1 of 2 trials failed" in done.stderr
    assert "became" in done.stdout  # the reason is in the summary
    assert len(models(folder)) == 4


@pytest.mark.slow
def test_two_sweeps_at_once_lose_nothing_and_train_nothing_twice(tmp_path, environment):
    grids = (
        ["--multirun", "unlearner=identity,retrain,finetune", "seed=0,1"],
        ["--multirun", "unlearner=retrain,finetune,scrub", "seed=0,1"],
    )
    sweeps = [
        subprocess.Popen(
            [sys.executable, str(ROOT / "run.py"), *grid],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for grid in grids
    ]
    for sweep in sweeps:
        _, err = sweep.communicate(timeout=HANGS)
        assert sweep.returncode == 0, err
    trial_results = results(tmp_path)
    assert len(trial_results) == 8
    assert {r["outcome"] for r in trial_results} == {"finished"}
    assert sum(r["trained"] for r in trial_results) == len(models(tmp_path)) == 4
    assert set(statuses(tmp_path)) == {"FINISHED"}
    with sqlite3.connect(tmp_path / "mlruns" / "mlflow.db") as database:
        query = "select count(*) from tags where key = 'erasure.fingerprint'"
        assert database.execute(query).fetchone()[0] == 8
