"""Many trials from Python, and a search: the loop, records and studies of the command line."""

import pytest
import torch

import erasure
from erasure.core.errors import ConfigError
from erasure.sweeps.run import SweepError


@pytest.fixture
def trial(tmp_path):
    return erasure.compose(
        "dataset=digits",
        "unlearner=ssd",
        "evaluator=fast",
        "pictures=false",
        "trainer.fit.epochs=1",
        "tracking=none",
        f"store.root={tmp_path / 'store'}",
    )


def test_an_empty_sweep_is_empty():
    assert erasure.sweep([]) == []


def test_what_cannot_work_is_refused_before_anything_runs(trial, tmp_path):
    elsewhere = trial.replace(store={"root": str(tmp_path / "other")})
    with pytest.raises(ConfigError, match=r"^store must be the same for all trials of a sweep"):
        erasure.sweep([trial, elsewhere])
    with pytest.raises(ConfigError, match=r"^trials must be what erasure.compose returns, got 3"):
        erasure.sweep([trial, 3])
    with pytest.raises(ConfigError, match=r"^trials must be a list of trials, got a single one"):
        erasure.sweep(trial)
    with pytest.raises(ConfigError, match=r"^trials must be at least 1, got 0"):
        erasure.tune(trial, trials=0)
    with pytest.raises(ConfigError, match=r"^seeds must be a list of whole numbers, got 100"):
        erasure.tune(trial, seeds=100)
    with pytest.raises(ConfigError, match=r"^space: unlearner.alpha.hihg .* did you mean .*high"):
        erasure.tune(trial, space={"unlearner.alpha": {"low": 1, "hihg": 5}})
    with pytest.raises(ConfigError, match=r"^jobs must be a whole number of at least 1, got 0"):
        erasure.sweep([trial], jobs=0)
    with pytest.raises(ConfigError, match=r"^errors must be raise or none, got 'ignore'"):
        erasure.sweep([trial], errors="ignore")
    with pytest.raises(ConfigError, match=r"unlearner.alhpa .* did you mean unlearner.alpha"):
        erasure.tune(trial, space={"unlearner.alhpa": {"low": 1, "high": 2}})
    with pytest.raises(ConfigError, match=r"hydra/sweeper/sampler=tpee does not exist"):
        erasure.tune(trial, sampler="tpee")
    assert not (tmp_path / "store" / "trials").exists()


@pytest.mark.slow
def test_equal_trials_run_once_and_a_second_call_runs_nothing(trial):
    state = torch.random.get_rng_state()
    other = trial.replace(unlearner=erasure.unlearners.Identity())
    first = erasure.sweep([trial, other, trial])
    assert torch.equal(state, torch.random.get_rng_state())
    assert [r.trial.tags["unlearner"] for r in first] == ["ssd", "identity", "ssd"]
    assert [r.result.trained for r in first] == [2, 0, 2]
    again = erasure.sweep([other, trial])
    assert [r.result.ended for r in again] == [first[1].result.ended, first[0].result.ended]
    assert trial.run().metrics == first[0].metrics
    assert list(erasure.leaderboard(first)["method"]) == ["ssd", "identity"]


@pytest.mark.slow
def test_a_trial_that_fails_does_not_end_the_others(trial):
    nothing = trial.replace(unlearner=erasure.unlearners.SSD(alpha=1e9))
    with pytest.raises(SweepError, match=r"^1 of 2 trials failed\nssd .* no weight changed"):
        erasure.sweep([nothing, trial])
    failed, finished = erasure.sweep([nothing, trial], errors="none")
    assert failed is None
    assert finished.metrics["forget/accuracy"] > 0


@pytest.mark.slow
def test_processes_and_this_one_come_to_the_same_numbers(trial, tmp_path):
    here = [trial.replace(seed=seed) for seed in (0, 1)]
    there = [each.replace(store={"root": str(tmp_path / "there")}) for each in here]
    pairs = zip(erasure.sweep(here), erasure.sweep(there, jobs=2), strict=True)
    for alone, in_process in pairs:
        kept = {n: v for n, v in alone.metrics.items() if not n.startswith(("cost/", "objective"))}
        assert kept == {name: in_process.metrics[name] for name in kept}


@pytest.mark.slow
def test_a_search_is_the_study_of_the_command_line(trial, tmp_path, python):
    search = erasure.tune(trial, trials=2, seeds=(100,))
    assert list(search.to_frame()["trial"]) == [0, 1]
    assert search.best_trial.unlearner.alpha == search.best["unlearner.alpha"]
    assert set(search.values) == {"gap/avg"}
    from erasure.config.folders import conf_folder

    done = python(
        conf_folder().parent / "run.py", "-m", "hydra/sweeper=optuna", "dataset=digits",
        "unlearner=ssd", "trainer.fit.epochs=1", "tracking=none",
        f"store.root={tmp_path / 'store'}", "hydra.sweeper.seeds=[100]",
        "hydra.sweeper.n_trials=3", f"hydra.sweep.dir={tmp_path / 'out'}",
    )  # fmt: skip
    assert "2 ended before, 1 to run" in done.stdout
    more = erasure.tune(trial, trials=3, seeds=(100,))
    assert len(more.to_frame()) == 3


@pytest.mark.slow
def test_another_space_is_another_study(trial):
    space = {"unlearner.alpha": {"low": 1.0, "high": 5.0}}
    narrow = erasure.tune(trial, trials=1, seeds=(100,), space=space)
    wide = erasure.tune(trial, trials=1, seeds=(100,))
    assert set(narrow.best) == {"unlearner.alpha"}
    assert narrow.study.client.plan.name != wide.study.client.plan.name
