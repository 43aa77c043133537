"""Trials given to launchers that are not ours, which lose workers and say little about it."""

from types import SimpleNamespace

import pytest
from hydra.core.utils import JobReturn, JobStatus

from erasure.launch.launcher import LaunchRequest
from hydra_plugins.erasure_launcher._launchers import AllAtOnce

TRIALS = [SimpleNamespace(number=number, overrides=(f"seed={number}",)) for number in (3, 5)]


class Elsewhere:
    """A launcher that runs nothing and answers what it was told to."""

    def __init__(self, *answers):
        self.answers = answers
        self.launched = []

    def launch(self, job_overrides, initial_job_idx):
        self.launched.append((job_overrides, initial_job_idx))
        if isinstance(self.answers[0], BaseException):
            raise self.answers[0]
        return self.answers


def ended(value):
    failed = isinstance(value, BaseException)
    job = JobReturn(status=JobStatus.FAILED if failed else JobStatus.COMPLETED)
    job.return_value = value
    return job


def ends(launcher, batch=None):
    reported, waiting = [], iter(TRIALS)
    request = LaunchRequest(
        next_run=lambda: next(waiting, None),
        on_end=lambda run, job_result: reported.append((run.number, job_result)),
        like=TRIALS,
        tracking_run="7e3",
        batch=batch,
    )
    AllAtOnce(launcher=launcher).run(request)
    return reported


def reasons(launcher):
    return [(number, job_result.error) for number, job_result in ends(launcher)]


def test_trials_are_handed_over_at_once_with_their_tracking_run():
    launcher = Elsewhere(ended(0.5), ended(0.5))
    reasons(launcher)
    parent = "++tracking.parent='7e3'"
    assert launcher.launched == [([["seed=3", parent], ["seed=5", parent]], 3)]


def test_a_study_hands_over_a_few_at_a_time():
    launcher = Elsewhere(ended(0.5))
    ends(launcher, batch=1)
    assert [number for _, number in launcher.launched] == [3, 5]


def test_what_a_trial_raised_elsewhere_is_its_reason(capsys):
    launcher = Elsewhere(ended(OSError("no space left\non device")), ended(0.5))
    (first, reason), (second, other) = reasons(launcher)
    assert (first, reason) == (3, "OSError: no space left on device")
    assert (second, other.split(";")[0]) == (5, "it left no result below store.root")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("error", [RuntimeError("lost a job\n" + 99 * "its log "), SystemExit(2)])
def test_a_launcher_that_gives_up_is_quoted_in_one_short_line(error):
    reported = ends(Elsewhere(error))
    assert [number for number, _ in reported] == [3, 5]
    for _, job_result in reported:
        reason = job_result.error
        assert job_result.died
        assert reason.startswith(f"the launcher gave up: {type(error).__name__}: ")
        assert "\n" not in reason
        assert len(reason) < 300


def test_ctrl_c_is_not_taken_for_a_failure():
    with pytest.raises(KeyboardInterrupt):
        reasons(Elsewhere(KeyboardInterrupt()))


@pytest.mark.slow
def test_a_worker_of_joblib_that_dies_costs_no_result_and_the_same_command_completes(app, capfd):
    task = app.folder / f"{app.module}.py"
    healed = app.folder / "healed"
    dies = f'if act == "exit" and not Path({str(healed)!r}).exists():'
    task.write_text(task.read_text().replace('if act == "exit":', dies))
    command = ["seed=0,1,2,3", "act=exit", "victims=[2]", "hydra/launcher=joblib"]

    assert app.run(*command, "hydra.launcher.n_jobs=2") == 1
    assert "the launcher gave up: TerminatedWorkerError" in capfd.readouterr().out
    kept = [note["seed"] for note in app.notes("ends")]
    assert 0 in kept or 1 in kept

    healed.touch()
    app.forget("calls")
    assert app.run(*command, "hydra.launcher.n_jobs=2") == 0
    assert f"4 trials: {len(kept)} finished before, {4 - len(kept)} to run" in (
        capfd.readouterr().out
    )
    assert sorted(note["seed"] for note in app.notes("calls")) == sorted({0, 1, 2, 3} - {*kept})
