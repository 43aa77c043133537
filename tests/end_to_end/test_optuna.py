"""From a search to a recipe to its confirmation, as a user types it."""

import subprocess
import sys

import optuna
import pytest
from running import ROOT, models

pytestmark = pytest.mark.slow

SEARCH = ("-m", "hydra/sweeper=optuna", "unlearner=scrub", "hydra.sweeper.n_trials=3",
          "hydra.sweeper.seeds=[100]", "tracking=none", "unlearner.fit.epochs=int(interval(1,3))",
          "hydra/sweeper/pruner=median", "hydra.sweeper.pruner.n_startup_trials=1")  # fmt: skip


def test_a_search_becomes_a_recipe_that_is_confirmed(erasure, environment, tmp_path):
    process = erasure(tmp_path, *SEARCH)
    assert process.returncode == 0, process.stdout + process.stderr
    url = f"sqlite:///{tmp_path}/store/studies/studies.db"
    (name,) = optuna.get_all_study_names(url)
    study = optuna.load_study(study_name=name, storage=url)
    assert [trial.number for trial in study.trials] == [0, 1, 2]
    assert all(trial.state.is_finished() for trial in study.trials)
    assert study.trials[0].intermediate_values  # what the method reported was compared
    assert len(models(tmp_path)) == 2  # one original and one gold for all

    again = erasure(tmp_path, *SEARCH)
    assert "3 ended before, 0 to run" in again.stdout

    command = [sys.executable, "-m", "erasure", "studies", "recipe", "--study", name]
    done = subprocess.run(
        [*command, "--output", str(tmp_path / "conf")],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    path = tmp_path / "conf" / "recipe" / "digits_noisy" / "mlp" / "random" / "scrub.yaml"
    assert f"# study {name}, trial {study.best_trial.number}" in path.read_text()
