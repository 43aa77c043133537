"""Other launchers of Hydra: the sweep they carry out is the one the local launcher would."""

import sqlite3

import pytest
from running import models, results

GRID = [
    "--multirun",
    "unlearner=identity,finetune",
    "seed=0,1",
    "evaluator=fast",
    "pictures=false",
]
LAUNCHERS = {
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "submitit": ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5"],
}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_grid_is_finished_tracked_as_one_sweep_and_trains_nothing_twice(
    tmp_path, erasure, launcher
):
    done = erasure(tmp_path, *GRID, *LAUNCHERS[launcher])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 trials: 4 finished; 4 models trained" in done.stdout
    trial_results = results(tmp_path)
    assert [result["outcome"] for result in trial_results] == ["finished"] * 4
    assert sum(result["trained"] for result in trial_results) == len(models(tmp_path)) == 4
    with sqlite3.connect(tmp_path / "mlruns" / "mlflow.db") as database:
        statuses = database.execute("select status from runs").fetchall()
        children = database.execute(
            "select value, count(*) from tags where key = 'mlflow.parentRunId' group by value"
        ).fetchall()
    assert statuses == [("FINISHED",)] * 5
    assert [count for _, count in children] == [4]
