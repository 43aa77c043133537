import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobStatus
from hydra.types import HydraContext

from hydra_plugins.erasure_launcher.local import LocalLauncher


def test_slots_run_at_the_same_time_and_refill_one_by_one(app):
    assert app.run("seed=0,1,2", "sleep=1", "hydra.launcher.n_jobs=2") == 0
    first, second, third = sorted(app.notes("ends"), key=lambda note: note["begun"])
    assert second["begun"] < first["ended"]
    assert third["begun"] > min(first["ended"], second["ended"])
    assert third["begun"] < max(first["ended"], second["ended"]) + 1


@pytest.mark.slow
def test_each_slot_has_a_gpu(app):
    assert app.run("seed=0,1,2,3", "sleep=1", "hydra.launcher.gpus=[3,5]", "device=auto") == 0
    calls = app.notes("calls")
    assert [note["env"]["CUDA_VISIBLE_DEVICES"] for note in calls].count("3") == 2
    assert {note["env"]["CUDA_VISIBLE_DEVICES"] for note in calls} == {"3", "5"}


@pytest.mark.slow
def test_gpus_can_be_hidden(app):
    assert app.run("seed=0", "hydra.launcher.gpus=none") == 0
    assert app.notes("calls")[0]["env"]["CUDA_VISIBLE_DEVICES"] == ""


def test_thread_settings_are_there_before_torch_loads(app):
    assert app.run("seed=0") == 0
    env = app.notes("calls")[0]["env"]
    assert (env["OMP_NUM_THREADS"], env["OMP_WAIT_POLICY"]) == ("1", "PASSIVE")


def test_every_trial_has_a_process_and_a_folder_of_its_own(app):
    assert app.run("seed=0,1,2") == 0
    calls = app.notes("calls")
    assert len({note["pid"] for note in calls}) == 3
    assert sorted(Path(note["folder"]).name for note in calls) == ["0", "1", "2"]
    assert (Path(calls[0]["folder"]) / ".hydra" / "overrides.yaml").is_file()


@pytest.fixture
def launcher(app):
    with initialize_config_dir(str(app.folder / "conf"), version_base="1.3"):
        master = compose("config", return_hydra_config=True, overrides=["act=exit", "victims=[2]"])
        loader = GlobalHydra.instance().config_loader()
        made = LocalLauncher(n_jobs=2, preload=["erasure.trial.describe"])
        made.setup(
            hydra_context=HydraContext(config_loader=loader, callbacks=Callbacks()),
            task_function=__import__(app.module).task,
            config=master,
        )
        yield made


@pytest.mark.slow
def test_other_sweepers_get_return_values_in_order(launcher):
    late, early = launcher.launch([["seed=4", "sleep=1"], ["seed=0"]], initial_job_idx=6)
    assert late.return_value == pytest.approx(0.1 + 0.1 * 4)
    assert early.return_value == pytest.approx(0.1)
    assert late.hydra_cfg.hydra.job.num == 6
    assert early.overrides == ["seed=0"]


@pytest.mark.slow
def test_other_sweepers_learn_of_a_dead_worker(launcher, capfd):
    overrides = [["seed=2", "act=kill", "victims=[2]"], ["seed=3", "act=kill", "victims=[2]"]]
    dead, alive = launcher.launch(overrides, initial_job_idx=0)
    assert (dead.status, alive.status) == (JobStatus.FAILED, JobStatus.COMPLETED)
    with pytest.raises(RuntimeError, match="the worker died"):
        _ = dead.return_value


@pytest.mark.slow
def test_it_works_below_the_basic_sweeper(app):
    assert app.run("seed=0,1", "hydra/sweeper=basic") == 0
    assert len(app.notes("ends")) == 2
    assert app.run("seed=0,1", "hydra/sweeper=basic", "act=fail", "victims=[1]") == 1


def test_hydra_starts_without_heavy_imports():
    code = (
        "import sys, hydra_plugins.erasure_launcher.local, hydra_plugins.erasure_sweeper.sweeper;"
        "heavy = {'torch', 'optuna', 'mlflow', 'rich', 'multiprocessing', 'erasure'};"
        "heavy &= set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    repository = Path(__file__).parents[2]
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
