"""Trials claimed, run and ended: counts, seeds, failures, pruning, processes that die."""

import json
import threading

import optuna
import pytest
from patience import wait_until
from studies import MEDIAN, NONE, Runner, drawn, opened, planned, states

from erasure.core.errors import ConfigError
from erasure.launch.interrupts import Stop
from erasure.results.provenance import host
from erasure.tuning import schedule
from erasure.tuning.storage import OWNER, REASON, SEEN


@pytest.fixture(scope="module")
def plans():
    return planned("unlearner=scrub,ssd", "tracking=none")


@pytest.fixture(scope="module")
def ssd(plans):
    return plans[1]


def by_alpha(cfg):
    return {"gap/avg": abs(cfg.unlearner.alpha - 30.0) / 100 + 0.1 * (cfg.seed == 101)}


def test_a_trial_is_the_mean_over_its_seeds_and_the_first_is_the_method_by_itself(ssd, tmp_path):
    client = opened(ssd, total=4)
    runner = Runner([client], tmp_path, by_alpha).all()
    assert states(client) == ["COMPLETE"] * 4
    assert client.trials[0].params == {"unlearner.alpha": 10.0, "unlearner.dampening": 1.0}
    assert client.trials[0].value == pytest.approx(0.2 + 0.05)
    assert len(runner.ran) == 8
    assert {seed for _, _, seed in runner.ran} == {100, 101}
    assert len({trial.params["unlearner.alpha"] for trial in client.trials}) == 4


def test_studies_take_turns(plans, tmp_path):
    clients = [opened(plan, total=3) for plan in plans]
    runner = Runner(clients, tmp_path, lambda cfg: {"gap/avg": 0.1}).all()
    order = [label for label, _, _ in runner.outcomes]
    assert order == ["scrub", "ssd"] * 3


def test_more_trials_are_a_matter_of_a_larger_number(ssd, tmp_path):
    storage = optuna.storages.InMemoryStorage()
    Runner([opened(ssd, storage, total=3)], tmp_path, by_alpha).all()
    client = opened(ssd, storage, total=5)
    runner = Runner([client], tmp_path, by_alpha).all()
    assert len(runner.outcomes) == 2
    assert [trial.number for trial in client.trials] == [0, 1, 2, 3, 4]
    assert len({trial.params["unlearner.alpha"] for trial in client.trials}) == 5
    assert Runner([client], tmp_path, by_alpha).all().ran == []


def test_the_same_study_draws_the_same_and_does_not_depend_on_interruptions(ssd, tmp_path):
    whole = opened(ssd, total=5)
    Runner([whole], tmp_path / "a", by_alpha).all()
    storage = optuna.storages.InMemoryStorage()
    for total in (2, 3, 5):
        client = opened(ssd, storage, total=total)
        Runner([client], tmp_path / "b", by_alpha).all()
    assert drawn(client) == drawn(whole)


def test_a_trial_whose_process_died_is_taken_over_as_it_is(ssd, tmp_path):
    storage = optuna.storages.InMemoryStorage()
    dead = Runner([opened(ssd, storage, total=3)], tmp_path, by_alpha)
    dead.end(dead.begin())
    dead.begin()
    client = opened(ssd, storage, total=3)
    before = client.trials[0].params
    gone = {"erasure.host": host(), "erasure.pid": "-1", "erasure.born": "0"}
    trial = optuna.trial.Trial(client.study, client.trials[0]._trial_id)
    trial.set_user_attr(OWNER, gone)
    runner = Runner([client], tmp_path, by_alpha).all()
    assert states(client) == ["COMPLETE"] * 3
    assert client.trials[0].params == before
    assert (client.plan.name, 0, 100) not in runner.ran  # that seed was finished: read back
    assert (client.plan.name, 0, 101) in runner.ran


def test_a_trial_of_a_living_process_is_left_alone_and_counts(ssd, tmp_path):
    storage = optuna.storages.InMemoryStorage()
    other = Runner([opened(ssd, storage, total=3)], tmp_path / "other", by_alpha)
    run = other.begin()
    client = opened(ssd, storage, total=3)
    runner = Runner([client], tmp_path, by_alpha).all()
    assert states(client) == ["RUNNING", "COMPLETE", "COMPLETE"]
    assert {number for _, number, _ in runner.ran} == {1, 2}
    other.end(run)
    other.all()
    assert states(client) == ["COMPLETE"] * 3


def test_a_process_on_another_machine_is_dead_when_it_is_silent(ssd, tmp_path):
    storage = optuna.storages.InMemoryStorage()
    Runner([opened(ssd, storage, total=2)], tmp_path, by_alpha).begin()
    client = opened(ssd, storage, total=2)
    trial = optuna.trial.Trial(client.study, client.trials[0]._trial_id)
    elsewhere = {"erasure.host": "elsewhere", "erasure.pid": "1", "erasure.born": "0"}
    trial.set_user_attr(OWNER, elsewhere)
    assert client.claim().trial.number == 1
    trial.set_user_attr(SEEN, 0.0)
    assert client.claim().trial.number == 0


def test_what_is_given_back_goes_on_in_the_next_process(ssd, tmp_path):
    storage = optuna.storages.InMemoryStorage()
    first = Runner([opened(ssd, storage, total=2)], tmp_path, by_alpha)
    first.begin()
    first.schedule.give_back_all()
    client = opened(ssd, storage, total=2)
    Runner([client], tmp_path, by_alpha).all()
    assert states(client) == ["COMPLETE"] * 2


@pytest.mark.parametrize(
    ("outcome", "state", "reason"),
    [
        ("failed", "FAIL", "seed 100: because"),
        ("diverged", "PRUNED", "seed 100: diverged: because"),
        ("pruned", "PRUNED", "seed 100: because"),
        ("dead", "FAIL", "seed 100: its process died twice (the worker died)"),
        ({"other": 1.0}, "FAIL", "seed 100: gap/avg was not measured"),
    ],
)
def test_what_has_no_result_is_never_scored(ssd, tmp_path, outcome, state, reason):
    client = opened(ssd, total=3)

    def measure(cfg):
        return outcome if cfg.tuning.trial == 1 else {"gap/avg": 0.5}

    runner = Runner([client], tmp_path, measure).all()
    assert states(client) == ["COMPLETE", state, "COMPLETE"]
    assert client.trials[1].user_attrs["erasure.reason"] == reason
    assert client.trials[1].values is None
    assert (client.plan.name, 1, 101) not in runner.ran  # the other seed could change nothing


def test_a_setting_whose_process_died_once_is_tried_again(ssd, tmp_path):
    client = opened(ssd, total=2)
    deaths = [(0, 100), (1, 101)]

    def measure(cfg):
        killed = (int(cfg.tuning.trial), int(cfg.seed))
        if killed in deaths:
            deaths.remove(killed)
            return "dead"
        return by_alpha(cfg)

    runner = Runner([client], tmp_path, measure).all()
    assert states(client) == ["COMPLETE", "COMPLETE"]
    tries = [(trial, seed) for _, trial, seed in runner.ran]
    assert sorted(tries) == [(0, 100), (0, 100), (0, 101), (1, 100), (1, 101), (1, 101)]
    assert len({run_result.run.number for run_result in runner.queue.run_results}) == 6


def test_the_seeds_of_a_setting_may_die_at_once_and_count_one_by_one(ssd, tmp_path):
    client = opened(ssd, total=1)
    acts = ["dead", "dead"]
    runner = Runner([client], tmp_path, lambda cfg: acts.pop() if acts else by_alpha(cfg))
    both = [runner.begin(), runner.begin()]
    for run in both:
        runner.end(run)
    runner.all()
    assert states(client) == ["COMPLETE"]


def test_a_death_is_remembered_by_who_goes_on_with_the_study(ssd, tmp_path):
    storage = optuna.storages.InMemoryStorage()
    first = Runner([opened(ssd, storage, total=1)], tmp_path, lambda cfg: "dead")
    run = first.begin()
    first.stop.reason = "interrupted"
    first.end(run)
    assert first.begin() is None  # given back: what was begun is not begun again once due
    client = opened(ssd, storage, total=1)
    Runner([client], tmp_path, lambda cfg: "dead").all()
    assert states(client) == ["FAIL"]
    assert client.trials[0].user_attrs["erasure.reason"].startswith("seed 100: its process died")


def test_a_method_that_takes_too_long_is_pruned(ssd, tmp_path):
    client = opened(ssd, total=2)
    seconds = {0: 1.0, 1: 9.0}
    Runner(
        [client],
        tmp_path,
        lambda cfg: {"gap/avg": 0.1, "cost/unlearn_seconds": seconds[cfg.tuning.trial]},
        cap=5.0,
    ).all()
    assert states(client) == ["COMPLETE", "PRUNED"]
    assert "9 s, more than 5 s" in client.trials[1].user_attrs["erasure.reason"]


@pytest.mark.slow
def test_a_study_that_keeps_failing_ends(plans, tmp_path):
    clients = [opened(plan, total=14) for plan in plans]
    Runner(
        clients,
        tmp_path,
        lambda cfg: "failed" if "msteps" in cfg.unlearner else {"gap/avg": 0.1},
        max_failures=0.5,
    ).all()
    assert (len(clients[0].trials), len(clients[1].trials)) == (10, 14)


def test_nothing_starts_after_the_deadline_or_ctrl_c(ssd, tmp_path):
    late = Runner([opened(ssd)], tmp_path, by_alpha, stop=Stop(deadline=0.0))
    assert late.begin() is None
    assert late.stop.reason == "hydra.sweeper.max_hours is over"
    stopped = Runner([opened(ssd)], tmp_path, by_alpha)
    run = stopped.begin()
    stopped.stop.reason = "interrupted"
    stopped.end(run)
    stopped.all()
    assert len(stopped.outcomes) == 1  # the trial that ran came to its end, other seed included


def test_a_pruner_looks_between_the_seeds(ssd, tmp_path):
    client = opened(ssd, total=4, pruner=MEDIAN)
    gaps = {0: 0.1, 1: 0.1, 2: 0.9, 3: 0.05}
    runner = Runner([client], tmp_path, lambda cfg: {"gap/avg": gaps[cfg.tuning.trial]}).all()
    assert states(client) == ["COMPLETE", "COMPLETE", "PRUNED", "COMPLETE"]
    assert (client.plan.name, 2, 101) not in runner.ran
    assert client.trials[0].intermediate_values == {100: pytest.approx(0.1)}


def test_seeds_follow_each_other_if_and_only_if_there_is_a_pruner(ssd, tmp_path):
    for pruner, trials in ((MEDIAN, [0, 1]), (NONE, [0, 0])):
        runner = Runner([opened(ssd, pruner=pruner)], tmp_path, by_alpha)
        first, second = runner.begin(), runner.begin()
        assert [first.config.tuning.trial, second.config.tuning.trial] == trials


def test_constraints_reach_optuna_and_the_sampler(tmp_path):
    (plan,) = planned("unlearner=ssd", "objective=three", "tracking=none")
    client = opened(plan, total=3)
    names = ["objective/utility", "objective/forgetting", "objective/log_time"]

    def measure(cfg):
        metrics = dict.fromkeys(names, 0.1 * (1 + cfg.tuning.trial))
        return {**metrics, "objective/heldout_drop": 0.01, "cost/share_of_retraining": 0.3}

    Runner([client], tmp_path, measure).all()
    assert states(client) == ["COMPLETE"] * 3
    assert client.trials[0].values == pytest.approx([0.1] * 3)
    violations = client.trials[0].user_attrs["erasure.constraints"]
    assert violations["cost/share_of_retraining"] == pytest.approx(0.1)
    assert violations["objective/heldout_drop"] == pytest.approx(-0.04)
    if hasattr(client.trials[0], "constraints"):
        assert client.trials[0].constraints == pytest.approx(violations)
    assert client.study.best_trials == []  # Optuna agrees that none is feasible


@pytest.mark.slow
def test_a_study_that_is_another_one_now_is_refused(ssd):
    storage = optuna.storages.InMemoryStorage()
    opened(ssd, storage)
    (narrower,) = planned("unlearner=ssd", "tracking=none", "unlearner.alpha=interval(1,2)")
    with pytest.raises(ConfigError, match=r"another search space \(unlearner.alpha\).*study_name"):
        opened(narrower, storage)
    for arguments, changes, message in (
        (["split.fraction=0.2"], {}, "another configuration"),
        ([], {"seeds": [5]}, "seeds"),
    ):
        named = {"study_name": ssd.name, **changes}
        (other,) = planned("unlearner=ssd", "tracking=none", *arguments, **named)
        with pytest.raises(ConfigError, match=message):
            opened(other, storage)
    foreign = optuna.create_study(study_name="theirs", storage=storage)
    foreign.tell(foreign.ask(), 0.0)
    (theirs,) = planned("unlearner=ssd", study_name="theirs")
    with pytest.raises(ConfigError, match="another program"):
        opened(theirs, storage)


def test_a_choice_that_the_space_lacks_is_left_to_the_sampler(tmp_path):
    (plan,) = planned("unlearner=ssd", "unlearner.alpha=choice(1.0,2.0)")
    client = opened(plan, total=2)
    Runner([client], tmp_path, lambda cfg: {"gap/avg": 0.1}).all()
    assert client.trials[0].params["unlearner.dampening"] == 1.0
    assert {trial.params["unlearner.alpha"] for trial in client.trials} <= {1.0, 2.0}


def test_a_heartbeat_outlives_a_trial_that_was_told_and_a_storage_that_fails(
    ssd, tmp_path, monkeypatch
):
    monkeypatch.setattr(schedule, "HEARTBEAT_SECONDS", 0.001)
    client = opened(ssd, total=2)
    runner = Runner([client], tmp_path, by_alpha)
    runner.begin()
    (active,) = runner.schedule._active
    seen = []

    def fail(*_):
        seen.append("failed")
        raise OSError("the database is away")

    with runner.schedule.heartbeat():
        wait_until(lambda: client.trials[0].user_attrs[SEEN] > 0, "a heartbeat")
        with monkeypatch.context() as patch:
            patch.setattr(type(active.claimed.trial), "set_user_attr", fail)
            wait_until(lambda: len(seen) > 1, "a heartbeat after one that failed")
        client.study.tell(active.claimed.trial, 0.5)
        alive = [t for t in threading.enumerate() if t.name == "erasure-heartbeat"]
        wait_until(lambda: seen.append(1) or len(seen) > 10, "some heartbeats")
        assert all(thread.is_alive() for thread in alive)
        assert len(alive) == 1


def test_a_trial_that_another_process_finished_is_told_and_given_back_without_harm(ssd, tmp_path):
    client = opened(ssd, total=2)
    runner = Runner([client], tmp_path, by_alpha)
    run = runner.begin()
    (active,) = runner.schedule._active
    client.study.tell(active.claimed.trial, 0.5)
    client.give_back(active.claimed)
    client.heartbeat(active.claimed)
    runner.end(run)
    runner.all()
    assert states(client) == ["COMPLETE"] * 2
    assert client.trials[0].value == 0.5


def without_objective(runner, entry):
    """Let every run finish without the objective, for the reason that ``entry`` gives."""
    while (run := runner.begin()) is not None:
        folder = runner.results.artifacts(run.record.fingerprint)
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps({"gap/avg": entry}), encoding="utf-8")
        runner.end(run)


@pytest.mark.parametrize(
    ("entry", "states_of_study", "reason"),
    [
        (
            {"status": "degenerate", "reason": "too_few", "counts": "3 of 10"},
            1,
            "too_few: 3 of 10",
        ),
        ({"status": "skipped", "reason": "missing_references"}, 1, "missing_references"),
        ({"status": "degenerate", "reason": "nonfinite_logits"}, 3, "nonfinite_logits"),
    ],
)
def test_a_study_ends_after_the_first_setting_if_none_can_be_measured(
    ssd, tmp_path, entry, states_of_study, reason
):
    client = opened(ssd, total=3)
    runner = Runner([client], tmp_path, lambda cfg: {"other": 1.0})
    without_objective(runner, entry)
    assert states(client) == ["FAIL"] * states_of_study
    why = client.trials[0].user_attrs[REASON]
    assert why.startswith(f"seed 100: gap/avg was not measured ({reason})")
    assert why.endswith("no setting of it can be measured") == (states_of_study == 1)
