"""Tuning sweeps from the command line to the summary, with trials that do not train."""

import json
import signal
from collections import Counter
from pathlib import Path

import optuna
import pytest
from omegaconf import OmegaConf
from patience import HANGS, wait_until

pytestmark = pytest.mark.slow

TUNE = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "hydra.launcher.n_jobs=2")


@pytest.fixture
def tuned(app):
    """The stub application with what a tuning sweep needs: spaces, evaluator, objective."""
    conf = app.folder / "conf"
    for group, name, text in (
        ("search", "good", "unlearner.lr: {low: 0.1, high: 2.0}"),
        ("search", "poor", "unlearner.lr: {low: 0.1, high: 2.0, log: true}"),
        ("evaluator", "fast", "heldout: val"),
        ("evaluator", "standard", "heldout: test"),
    ):
        (conf / group).mkdir(exist_ok=True)
        (conf / group / f"{name}.yaml").write_text(text + "\n")
    config = conf / "config.yaml"
    config.write_text(
        config.read_text()
        .replace("  - unlearner: good", "  - unlearner: good\n  - evaluator: standard")
        .replace("seed: 0\n", "seed: 0\npictures: true\n")
    )
    if "\ndata:" not in config.read_text():
        config.write_text(config.read_text() + f"data: {{root: {app.folder}/data}}\n")
    return app


def studies(app):
    url = f"sqlite:///{app.folder}/store/studies/studies.db"
    names = optuna.get_all_study_names(url)
    return {name: optuna.load_study(study_name=name, storage=url) for name in names}


def counts(app):
    return {
        name.split("-")[0]: Counter(trial.state.name for trial in study.trials)
        for name, study in studies(app).items()
    }


def test_two_methods_have_a_study_each_and_one_parent(tuned, capsys):
    assert tuned.run(*TUNE, "unlearner=good,poor") == 0
    assert counts(tuned) == {"good": {"COMPLETE": 3}, "poor": {"COMPLETE": 3}}
    calls = tuned.notes("calls")
    assert Counter((c["unlearner"], c["seed"]) for c in calls) == {
        (name, seed): 3 for name in ("good", "poor") for seed in (100, 101)
    }
    assert {call["parent"] for call in calls} == {"7e3"}
    for study in studies(tuned).values():
        assert study.trials[0].params == {"unlearner.lr": 1.0}
        assert study.best_value == pytest.approx(
            {"good": 0.1, "poor": 0.5}[study.study_name.split("-")[0]] + 0.1 * 100.5
        )
    first, last = tuned.notes("sweeps")
    assert (first["name"], last["failed"]) == ("tuning good, poor on ", 0)
    assert {"studies.csv", "summary.md", "sweep.json", "plots"} <= set(last["files"])
    assert "| good | 3 of 3 | 3 | 0 | 0 |" in last["summary"]
    assert "6 of 6 trials: 6 complete" in last["summary"]
    assert "- seeds: 100, 101" in last["summary"]
    printed = capsys.readouterr().out
    assert "2 studies, 6 trials with 2 seeds each: 0 ended before, 6 to run" in printed
    assert "run.py -m unlearner=good" in printed
    folder = next((tuned.folder / "store" / "sweeps").iterdir())
    assert len(json.loads((folder / "sweep.json").read_text())["trials"]) == 12
    assert {path.name for path in folder.glob("plots/*/*.png")} >= {"history.png", "slice.png"}
    tuned.forget("calls")
    assert tuned.run(*TUNE, "unlearner=good,poor") == 0
    assert tuned.notes("calls") == []
    again = capsys.readouterr().out
    assert "6 ended before, 0 to run" in again
    assert "run.py -m unlearner=good" in again
    assert len(tuned.notes("sweeps")) == 2  # the summary is there and is not written again
    (folder / "studies.csv").unlink()
    assert tuned.run(*TUNE, "unlearner=good,poor") == 0
    assert len(tuned.notes("sweeps")) == 4
    assert (folder / "studies.csv").is_file()


def test_a_study_that_has_more_than_its_budget_takes_none_from_another(tuned, capsys):
    assert tuned.run(*TUNE, "unlearner=good", "hydra.sweeper.n_trials=3") == 0
    capsys.readouterr()
    assert tuned.run(*TUNE, "unlearner=good,poor", "hydra.sweeper.n_trials=2") == 0
    printed = capsys.readouterr().out
    assert "2 studies, 4 trials with 2 seeds each: 3 ended before, 2 to run" in printed
    assert "[4/5] poor" in printed
    assert "[5/5] poor" in printed
    assert counts(tuned) == {"good": {"COMPLETE": 3}, "poor": {"COMPLETE": 2}}


def test_kill_9_loses_doubles_and_leaves_open_nothing(tuned):
    command = (*TUNE, "unlearner=good,poor", "sleep=0.4")
    for number in range(2):
        process = tuned.start(*command)
        tuned.wait_for("ends", 2 + 3 * number)
        process.kill()
        process.communicate()
    wait_until(lambda: len(tuned.notes("ends")) == len(tuned.notes("calls")))  # they outlive it
    assert tuned.run(*command) == 0
    assert counts(tuned) == {"good": {"COMPLETE": 3}, "poor": {"COMPLETE": 3}}
    for study in studies(tuned).values():
        assert [trial.number for trial in study.trials] == [0, 1, 2]
        assert len({trial.params["unlearner.lr"] for trial in study.trials}) == 3


def test_two_processes_share_a_study(tuned):
    command = (*TUNE, "hydra.sweeper.n_trials=4", "sleep=0.3")
    processes = [tuned.start(*command) for _ in range(2)]
    printed = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed
    assert counts(tuned) == {"good": {"COMPLETE": 4}}
    (study,) = studies(tuned).values()
    assert len({trial.params["unlearner.lr"] for trial in study.trials}) == 4
    assert len(tuned.notes("calls")) == 8


def test_ctrl_c_finishes_what_runs_and_sums_up(tuned):
    process = tuned.start(*TUNE, "hydra.sweeper.n_trials=30", "sleep=0.5")
    tuned.wait_for("calls", 2)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate()
    assert process.returncode != 0
    assert "finishing the trials that run; Ctrl-C again stops at once" in printed
    (counted,) = counts(tuned).values()
    assert set(counted) == {"COMPLETE"}
    assert counted["COMPLETE"] < 30
    assert tuned.notes("sweeps")[-1]["event"] == "finish"


def test_ctrl_c_twice_stops_at_once_and_the_trial_goes_on_later(tuned):
    process = tuned.start(*TUNE, "hydra.sweeper.n_trials=2", "sleep=3600")
    tuned.wait_for("calls", 2)
    process.send_signal(signal.SIGINT)
    assert any("Ctrl-C again stops at once" in line for line in process.stdout)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=HANGS)
    assert list(counts(tuned).values()) == [{"RUNNING": 1}]
    assert tuned.run(*TUNE, "hydra.sweeper.n_trials=2", "sleep=0") == 0


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_other_launchers_are_reconciled_from_the_ledger(tuned, launcher):
    extra = ["hydra.launcher.n_jobs=2", "hydra.sweeper.n_jobs=2"] if launcher == "joblib" else []
    command = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", f"hydra/launcher={launcher}"]
    process = tuned.start(*command, *extra)
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    assert counts(tuned) == {"good": {"COMPLETE": 2}}
    assert Counter(call["seed"] for call in tuned.notes("calls")) == {100: 2, 101: 2}


def test_a_study_without_a_result_is_an_error_at_the_end(tuned, capfd):
    assert tuned.run(*TUNE, "unlearner=good,poor", "act=fail", "victims=[100]") == 1
    assert "2 of 2 studies have no complete trial" in capfd.readouterr().err
    assert counts(tuned) == {"good": {"FAIL": 3}, "poor": {"FAIL": 3}}
    assert len(tuned.notes("sweeps")) == 2


def test_no_trial_starts_after_the_first_that_failed_if_that_is_wanted(tuned, capfd):
    first = ("hydra.sweeper.stop_at_first_failure=true", "hydra.launcher.n_jobs=1")
    failing = ("act=fail", "victims=[101]")
    assert tuned.run(*TUNE, *first, "unlearner=good,poor", *failing) == 1
    out, err = capfd.readouterr()
    assert "1 of 6 trials failed; the same command goes on" in err.splitlines()[0]
    assert "ended early: stopped at the first failure" in out
    assert sum(counts(tuned)["good"].values()) == 1  # the other study has one that waits
    assert counts(tuned)["good"] == {"FAIL": 1}
    assert [call["seed"] for call in tuned.notes("calls")] == [100, 101]


@pytest.mark.parametrize("act", ["kill", "exit"])
def test_a_setting_whose_process_dies_twice_has_failed(tuned, capfd, act):
    assert tuned.run(*TUNE, "hydra.sweeper.n_trials=1", f"act={act}", "victims=[101]") == 1
    assert "failed: seed 101: its process died twice (the worker died (" in capfd.readouterr().out
    assert counts(tuned) == {"good": {"FAIL": 1}}
    assert Counter(call["seed"] for call in tuned.notes("calls")) == {100: 1, 101: 2}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["hydra.sweeper.confirm_seeds=[1]"], "confirm_seeds"),
        (["seed=1"], "hydra.sweeper.seeds"),
        (["evaluator=standard"], "must not look at the test set"),
        (["unlearner=mild"], "there is no search/mild.yaml"),
        (["unlearner.rl=interval(0,1)"], "unlearner.rl in the search space"),
        (["hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials must be at least 1"),
        (["hydra.sweeper.storage=nowhere"], "hydra.sweeper.storage must be a database"),
        (["+objective.metrics.b=minimize", "hydra/sweeper/pruner=median"],
         "hydra/sweeper/pruner must be none with several objectives"),
        (["hydra/sweeper/sampler=cmaes", "hydra.sweeper.sampler.sigma0=x"], "sampler"),
    ],
)  # fmt: skip
def test_bad_input_is_one_message_before_the_first_trial(tuned, capfd, overrides, message):
    assert tuned.run(*TUNE, *overrides) == 1
    captured = capfd.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert tuned.notes("calls") == []
    assert tuned.notes("sweeps") == []


def test_a_space_that_changed_is_refused_and_a_new_name_starts_anew(tuned, capfd):
    assert tuned.run(*TUNE, "hydra.sweeper.n_trials=1") == 0
    narrower = "unlearner.lr=interval(0.1,0.5)"
    assert tuned.run(*TUNE, narrower) == 1
    assert "another search space (unlearner.lr)" in capfd.readouterr().err
    assert (
        tuned.run(*TUNE, "hydra.sweeper.n_trials=2", narrower, "hydra.sweeper.study_name=n") == 0
    )
    assert len(studies(tuned)["n"].trials) == 2


def test_time_that_is_over_ends_a_sweep_cleanly(tuned, capsys):
    command = (*TUNE, "hydra.sweeper.max_hours=1.0e-9", "hydra.sweeper.n_trials=5")
    assert tuned.run(*command) == 1  # nothing was begun, so there is no result
    assert "hydra.sweeper.max_hours is over" in capsys.readouterr().out
    assert [len(study.trials) for study in studies(tuned).values()] == [1]  # it waits


def test_what_was_asked_for_is_kept(tuned):
    assert tuned.run(*TUNE, "hydra.sweeper.n_trials=1") == 0
    kept = next(Path(tuned.folder / "multirun").rglob("multirun.yaml"))
    assert OmegaConf.load(kept).hydra.sweeper.n_trials == 1
