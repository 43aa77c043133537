"""The tracking server goes away in the middle of a sweep and comes back after it."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from mlflow_server import SwitchedServer
from patience import HANGS, wait_until
from running import ROOT, models, results

pytestmark = pytest.mark.slow

GRID = ("--multirun", "unlearner=identity,finetune", "seed=0,1")
STUDY = ("--multirun", "hydra/sweeper=optuna", "unlearner=finetune", "hydra.sweeper.n_trials=4",
         "hydra.sweeper.seeds=[100]")  # fmt: skip


@pytest.fixture
def server(tmp_path):
    server = SwitchedServer(tmp_path)
    server.on()
    yield server
    server.off()


def interrupted(folder, environment, command, server):
    """Run a sweep whose server goes away after its second result; return what it printed."""
    sweep = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_until(lambda: sweep.poll() is not None or len(results(folder)) >= 2, "two results")
    server.off()
    out, _ = sweep.communicate(timeout=HANGS)
    return sweep.returncode, out


@pytest.mark.parametrize("arguments", [GRID, STUDY], ids=["grid", "study"])
def test_a_sweep_goes_on_and_the_same_command_delivers(
    tmp_path, environment, erasure, server, arguments
):
    arguments = (*arguments, f"tracking.uri={server.uri}", "hydra.launcher.n_jobs=1")
    command = [sys.executable, str(ROOT / "run.py"), *arguments]
    code, out = interrupted(tmp_path, environment, command, server)
    assert code == 0, out
    assert "on disk to be tracked; the same command sends them, or `python -m erasure" in out
    assert [result["outcome"] for result in results(tmp_path)] == ["finished"] * 4
    before = {path: path.stat().st_mtime_ns for path in models(tmp_path)}
    ended = {result["trial"]["fingerprint"]: result["ended"] for result in results(tmp_path)}

    refused = erasure(tmp_path, *arguments)
    assert refused.returncode == 1
    assert "tracking.uri must be a server that answers" in refused.stderr

    server.on()
    again = erasure(tmp_path, *arguments)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "wait" not in again.stdout
    assert all(result["run"] for result in results(tmp_path))
    after = {result["trial"]["fingerprint"]: result["ended"] for result in results(tmp_path)}
    assert after == ended
    assert {path: path.stat().st_mtime_ns for path in models(tmp_path)} == before
    assert statuses(server) == ["FINISHED"] * 5


def statuses(server):
    """Return the status of the run of the sweep and of those below it."""
    with closing(sqlite3.connect(server.database)) as database:
        runs = dict(database.execute("select run_uuid, status from runs"))
        parents = dict(
            database.execute("select run_uuid, value from tags where key = 'mlflow.parentRunId'")
        )
    (sweep,) = runs.keys() - parents.keys()
    assert set(parents.values()) == {sweep}
    return list(runs.values())
