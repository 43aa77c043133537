import csv
import signal
import subprocess
import threading
import time

import pytest
from patience import HANGS
from tiers import one_in_default


def seeds(app):
    return sorted((note["unlearner"], note["seed"]) for note in app.notes("calls"))


def records(app):
    (folder,) = (app.folder / "store" / "sweeps").iterdir()
    with (folder / "summary.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_combination_runs_once(app, capsys):
    assert app.run("unlearner=good,poor", "seed=0,1,1,0") == 0
    assert seeds(app) == [("good", 0), ("good", 1), ("poor", 0), ("poor", 1)]
    out = capsys.readouterr().out
    assert "4 trials to run" in out
    assert "4 trials: 4 finished; 8 models trained" in out
    assert "for which 2 models were trained; 3 more take about" in out
    assert "open the page" in out


def test_trials_that_differ_in_writing_only_are_one_trial(app):
    assert app.run("unlearner.lr=0.1,0.10,1e-1") == 0
    assert len(app.notes("calls")) == 1


@pytest.mark.slow
def test_ranges_globs_quotes_and_lists_are_swept(app):
    words = "+word='a,b','c d'"
    assert app.run("seed=range(0,2)", "unlearner=glob(*,exclude=[m*,p*])", words, "+li=[1,2]") == 0
    assert seeds(app) == [("good", 0), ("good", 0), ("good", 1), ("good", 1)]


def test_params_are_defaults_that_the_command_line_replaces(app):
    params = "hydra.sweeper.params={seed:'0,1',unlearner:'good,poor'}"
    assert app.run(params, "unlearner=mild") == 0
    assert seeds(app) == [("mild", 0), ("mild", 1)]


@pytest.mark.slow
def test_paired_axes_and_several_grids_are_one_sweep(app, capsys):
    grids = "hydra.sweeper.grids=['unlearner=good,poor seed=0,1','unlearner=good seed=1,2']"
    zipped = "hydra.sweeper.zip=[unlearner,seed]"
    assert app.run(grids, "hydra.sweeper.params={unlearner.lr:'0.5'}") == 0
    assert seeds(app) == [("good", 0), ("good", 1), ("good", 2), ("poor", 0), ("poor", 1)]
    assert "2 unlearners, 3 seeds" in app.notes("sweeps")[0]["name"]
    assert app.run(grids.replace(" seed=1,2", ""), zipped) == 0
    assert "2 trials: 2 finished" in capsys.readouterr().out  # the second grid repeats one


def test_a_sweep_without_values_is_one_trial(app):
    assert app.run("seed=3") == 0
    assert seeds(app) == [("good", 3)]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["seed=0,-1"], "seed must be >= 0, got -1"),
        (["seed=interval(0,1)"], "seed must be a list, a range or a glob in a grid"),
        (["unlearner=glob(x*)"], "unlearner must match something, got glob(x*)"),
        (["unlearner=good,nope"], "nope"),
        (["unlearner.rate=1,2"], "unlearner.rate"),
        (["seed=0,1", "hydra.launcher.n_jobs=0"], "n_jobs must be auto or at least 1, got 0"),
        (["hydra.sweeper.max_hours=0"], "hydra.sweeper.max_hours must be null or > 0, got 0"),
        (
            ["hydra.sweeper.max_hours=1", "hydra/launcher=joblib"],
            "hydra.sweeper.max_hours must be null with this hydra/launcher",
        ),
        (
            ["hydra.sweeper.stop_at_first_failure=true", "hydra/launcher=joblib"],
            "takes all trials of a grid at once, and stop_at_first_failure false",
        ),
        (
            ["hydra.sweeper.stop_at_first_failure=2"],
            "hydra.sweeper.stop_at_first_failure must be true or false, got 2",
        ),
        (
            ["+hydra.sweeper.max_hour=1"],
            "hydra.sweeper.max_hour is no setting of this hydra/sweeper; did you mean max_hours?",
        ),
        (["hydra.sweeper.source=list"], "hydra.sweeper.source must be one of grid, optuna, bench"),
    ],
)
def test_bad_input_is_one_message_and_nothing_runs(app, capfd, overrides, message):
    assert app.run(*overrides) == 1
    err = capfd.readouterr().err
    assert message in err
    assert "Traceback" not in err
    assert app.notes("calls") == []
    assert app.notes("sweeps") == []
    assert not (app.folder / "multirun").exists()


def test_a_tracker_that_is_down_stops_the_sweep_before_it_starts(app, capfd):
    (app.folder / "down").touch()
    assert app.run("seed=0,1") == 1
    assert "tracking.uri must be reachable, got nothing" in capfd.readouterr().err
    assert app.notes("calls") == []


def test_finished_trials_are_not_run_again(app, capsys):
    assert app.run("seed=0,1") == 0
    app.forget("calls")
    app.forget("checks")
    assert app.run("seed=0,1,2") == 0
    assert "3 trials: 2 finished before, 1 to run" in capsys.readouterr().out
    assert seeds(app) == [("good", 2)]
    assert [note["seed"] for note in app.notes("checks")] == [2]


@pytest.mark.slow
def test_nothing_left_to_run_shows_the_table_and_writes_nothing(app, capsys):
    assert app.run("unlearner=good,poor") == 0
    app.forget("calls")
    capsys.readouterr()
    before = len(app.notes("sweeps"))
    assert app.run("unlearner=good,poor") == 0
    out = capsys.readouterr().out
    assert "2 trials: all finished before, nothing left to run" in out
    assert "0.500" in out
    assert app.notes("calls") == []
    assert len(app.notes("sweeps")) == before


@pytest.mark.slow
def test_resume_false_runs_everything_again(app):
    assert app.run("seed=0,1") == 0
    assert app.run("seed=0,1", "resume=false") == 0
    assert len(app.notes("calls")) == 4


@pytest.mark.slow
def test_a_result_the_tracker_lost_is_left_to_the_trial(app):
    assert app.run("seed=0,1") == 0
    (app.folder / "empty").touch()
    assert app.run("seed=0,1") == 0
    assert len(app.notes("calls")) == 4


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ("fail", "lr must be smaller"),
        ("exit", "the worker died (exit code 9)"),
        ("kill", "the worker died (SIGKILL, out of memory?)"),
        ("leave", "the worker died (exit code 3)"),
    ],
)
@pytest.mark.slow
def test_a_failing_trial_costs_itself_and_runs_again(app, capfd, act, reason):
    assert app.run("seed=0,1,2", f"act={act}", "victims=[1]") == 1
    out, err = capfd.readouterr()
    assert err.splitlines()[0] == "1 of 3 trials failed"
    assert f"seed 1: {reason} (log: multirun/" in out
    states = [(row["state"], row["reason"]) for row in records(app)]
    assert states == [("finished", ""), ("failed", reason), ("finished", "")]
    app.forget("calls")
    assert app.run("seed=0,1,2", f"act={act}", "victims=[1]") == 1
    assert seeds(app) == [("good", 1)]


def test_nothing_starts_after_the_first_failure_if_that_is_wanted(app, capfd):
    command = ("seed=0,1,2", "hydra/launcher=basic", "act=fail")
    first = "hydra.sweeper.stop_at_first_failure=true"
    assert app.run(*command, first, "victims=[1]") == 1
    assert capfd.readouterr().err.splitlines()[0] == (
        "stopped at the first failure (hydra.sweeper.stop_at_first_failure): "
        "2 of 3 trials have no result; the same command goes on"
    )
    assert seeds(app) == [("good", 0), ("good", 1)]
    assert app.notes("sweeps")[-1]["failed"] == 2
    app.forget("calls")
    assert app.run(*command, first, "victims=[1]") == 1
    assert seeds(app) == [("good", 1)]


@pytest.mark.slow
def test_an_old_failure_does_not_explain_a_new_death(app):
    assert app.run("act=fail", "victims=[0]") == 1
    task = app.folder / f"{app.module}.py"
    task.write_text(task.read_text().replace('failed = act == "fail"', "os._exit(9)"))
    process = app.start("act=fail", "victims=[0]")
    out, _ = process.communicate(timeout=HANGS)
    assert process.returncode == 1
    assert "the worker died (exit code 9)" in out


@pytest.mark.slow
def test_what_a_trial_prints_is_in_its_log(app, capfd):
    assert app.run("act=fail", "victims=[0]") == 1
    (log,) = app.folder.glob("multirun/*/*/0/output.log")
    assert "printed by the trial" in log.read_text()
    assert "ConfigError: lr must be smaller" in log.read_text()
    assert "printed by the trial" not in capfd.readouterr().out


@pytest.mark.slow
def test_one_run_holds_the_sweep(app):
    assert app.run("unlearner=good,poor", "seed=0,1", "act=fail", "victims=[1]") == 1
    start, finish = app.notes("sweeps")
    assert start["name"] == "2 unlearners × 2 seeds on custom"
    assert start["overrides"] == {"unlearner": "good, poor", "seed": "0, 1"}
    assert start["total"] == 4
    assert finish["failed"] == 2
    assert finish["files"] == ["summary.csv", "summary.md", "sweep.json"]
    assert "| good | 1 of 2 | 0.100 |" in finish["summary"]
    assert "lr must be smaller" in finish["summary"]
    assert "python run.py --multirun unlearner=good,poor" in finish["summary"]
    assert {note["parent"] for note in app.notes("calls")} == {"7e3"}  # an id, not a number


@pytest.mark.slow
def test_the_same_sweep_in_another_order_is_the_same_sweep(app):
    assert app.run("seed=0,1", "unlearner=good,poor") == 0
    assert app.run("unlearner=poor,good", "seed=1,0", "resume=false") == 0
    starts = [note for note in app.notes("sweeps") if note["event"] == "start"]
    assert starts[0]["fingerprint"] == starts[1]["fingerprint"]


def press_ctrl_c(app, times):
    """Press while a trial runs, which is held until it was pressed; twice ends it before that."""
    hold = app.folder / "hold"
    hold.touch()

    def press():
        app.wait_for("calls")
        for _ in range(times):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(0.5)  # signals that come at once are one signal
        hold.unlink()

    threading.Thread(target=press).start()


@pytest.mark.parametrize("launcher", one_in_default(["local", "basic"]))
def test_ctrl_c_lets_the_trials_that_run_finish_and_sums_up(app, capfd, launcher):
    press_ctrl_c(app, times=1)
    jobs = ["hydra.launcher.n_jobs=1"] if launcher == "local" else []
    with pytest.raises(KeyboardInterrupt):
        app.run("seed=0,1,2", f"hydra/launcher={launcher}", *jobs)
    out = capfd.readouterr().out
    assert "finishing the trials that run; Ctrl-C again stops at once" in out
    assert "3 trials: 1 finished, 2 not run" in out
    assert [note["seed"] for note in app.notes("ends")] == [0]
    assert app.notes("sweeps")[-1]["failed"] == 2
    assert app.run("seed=0,1,2") == 0
    assert seeds(app) == [("good", 0), ("good", 1), ("good", 2)]


@pytest.mark.slow
def test_ctrl_c_when_nothing_is_left_to_start_is_no_interruption(app, capfd):
    press_ctrl_c(app, times=1)
    assert app.run("seed=0") == 0
    assert "1 trial: 1 finished" in capfd.readouterr().out


def test_what_is_deleted_is_not_what_is_added(app):
    assert app.run("~unlearner.lr", "+unlearner.lr=5,6", "unlearner=good") == 0
    assert len(app.notes("calls")) == 2
    (one, _) = sorted(app.folder.glob("multirun/*/*/*/.hydra/config.yaml"))
    assert "lr: 5" in one.read_text()


def test_an_error_nobody_foresaw_is_raised_after_the_summary(app, capfd, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("unforeseen")

    monkeypatch.setattr("erasure.sweeps.progress._text", broken)
    assert app.run("seed=0,1", "hydra.launcher.n_jobs=1") == 1
    out, err = capfd.readouterr()
    assert "ZeroDivisionError: unforeseen" in err
    assert "2 trials: 1 finished, 1 not run" in out
    assert app.notes("sweeps")[-1]["event"] == "finish"


@pytest.mark.slow
def test_ctrl_c_twice_ends_the_trials_and_sums_up(app, capfd):
    press_ctrl_c(app, times=2)
    with pytest.raises(KeyboardInterrupt):
        app.run("seed=0,1", "sleep=60", "hydra.launcher.n_jobs=1")
    assert "2 trials: 2 not run" in capfd.readouterr().out
    assert app.notes("sweeps")[-1]["failed"] == 2
    assert app.notes("ends") == []
    assert app.run("seed=0,1") == 0


@pytest.mark.slow
def test_no_trial_starts_after_the_hours_are_over(app, capfd):
    assert app.run("seed=0,1,2", "hydra.sweeper.max_hours=1e-9") == 1
    out, err = capfd.readouterr()
    assert "hydra.sweeper.max_hours is over: 3 of 3 trials have no result" in err
    assert "3 trials: 3 not run" in out
    assert app.notes("calls") == []
    assert app.run("seed=0,1,2", "hydra.sweeper.max_hours=1") == 0


@pytest.mark.slow
def test_two_sweeps_at_once_have_folders_of_their_own(app):
    other = app.start("unlearner=good,poor", "seed=0,1")
    assert app.run("unlearner=good,poor", "seed=0,1", "resume=false") == 0
    out, _ = other.communicate(timeout=HANGS)
    assert other.returncode == 0, out
    folders = [note["folder"] for note in app.notes("calls")]
    assert len(set(folders)) == len(folders) >= 4


@pytest.mark.slow
def test_trials_outlive_a_parent_that_is_killed_and_the_sweep_goes_on(app):
    process = app.start("seed=0,1,2", "sleep=1", "hydra.launcher.n_jobs=1")
    app.wait_for("calls")
    process.kill()
    process.communicate()
    app.wait_for("ends")
    assert app.run("seed=0,1,2", "sleep=1") == 0
    assert seeds(app) == [("good", 0), ("good", 1), ("good", 2)]


@pytest.mark.slow
def test_a_terminated_parent_leaves_nobody_behind(app):
    process = app.start("seed=0,1", "sleep=60", "hydra.launcher.n_jobs=2")
    app.wait_for("calls", count=2)
    process.terminate()
    out, _ = process.communicate(timeout=HANGS)
    assert "2 trials: 2 not run" in out
    for note in app.notes("calls"):
        process = subprocess.run(["ps", "-p", str(note["pid"])], capture_output=True, check=False)
        assert process.returncode != 0


@pytest.mark.slow
@pytest.mark.parametrize("launcher", one_in_default(["basic", "joblib"]))
def test_other_launchers_are_reconciled_from_the_ledger(app, capfd, launcher):
    jobs = [] if launcher == "basic" else ["hydra.launcher.n_jobs=1"]
    command = ["seed=0,1,2", "act=fail", "victims=[1]", f"hydra/launcher={launcher}", *jobs]
    assert app.run(*command) == 1
    assert "1 of 3 trials failed" in capfd.readouterr().err
    assert [row["state"] for row in records(app)] == ["finished", "failed", "finished"]
    assert {note["parent"] for note in app.notes("calls")} == {"7e3"}
    app.forget("calls")
    assert app.run(*command) == 1
    assert seeds(app) == [("good", 1)]


def test_a_trial_that_exits_does_not_end_a_sweep_in_one_process(app, capfd):
    assert app.run("seed=0,1,2", "act=leave", "victims=[0]", "hydra/launcher=basic") == 1
    assert [row["reason"] for row in records(app)] == ["SystemExit: 3", "", ""]
