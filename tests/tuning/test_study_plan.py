"""Studies composed from a command line, and checked before anything runs."""

import shlex

import pytest
from studies import planned

from erasure.core.errors import ConfigError
from erasure.trial.task import trial_of


@pytest.fixture(scope="module")
def plans():
    return planned("unlearner=scrub,ssd", "tracking=none")


def test_every_unlearner_is_a_study_with_its_own_space(plans):
    scrub, ssd = plans
    assert set(ssd.space) == {"unlearner.alpha", "unlearner.dampening"}
    assert "unlearner.fit.optimizer.lr" in scrub.space
    assert (scrub.label, ssd.label) == ("scrub", "ssd")
    assert scrub.name.startswith("scrub-digits_noisy-mlp-random-")
    assert scrub.base.evaluator.heldout == "val"


def test_a_run_is_the_trial_that_its_overrides_say(plans, compose_config):
    run = plans[1].run(7, {"unlearner.alpha": 3.5}, 4, 1, {"storage": "journal:x"})
    arguments = ["tracking=none", "evaluator=fast", "pictures=false", "unlearner=ssd"]
    cfg = compose_config(*arguments, "unlearner.alpha=3.5", "seed=101", hydra=True)
    same = trial_of(cfg).record
    assert run.record.fingerprint == same.fingerprint
    assert run.record.tags["erasure.study"] == plans[1].name
    assert run.record.tags["erasure.study_trial"] == "4"
    assert run.record.name.endswith("seed 101 · trial 4")
    assert not any("journal" in value for value in run.record.params.values())
    assert (run.config.hydra.job.num, run.config.tuning.storage) == (7, "journal:x")
    overrides = [o for o in run.overrides if not o.startswith("hydra")]
    again = compose_config(*overrides, hydra=True)
    assert trial_of(again).record == run.record
    assert plans[1].base.seed == 0  # the plan itself is left as it was


def test_text_arrives_elsewhere_as_it_is_here(plans, compose_config):
    run = plans[1].run(7, {"tracking.note": r"\d+ it's 'a\' \\"}, 4, 1, {})
    assert run.config.tracking.note == r"\d+ it's 'a\' \\"
    overrides = [o for o in shlex.split(shlex.join(run.overrides)) if not o.startswith("hydra")]
    again = compose_config(*overrides, hydra=True)
    assert again.tracking.note == run.config.tracking.note
    assert trial_of(again).record == run.record


def test_paired_keys_and_several_grids_are_studies():
    shared = ("tracking=none", "unlearner.alpha=interval(1,2)")
    plans = planned(*shared, "unlearner=ssd,lfssd", "threads=1,2", zip=["unlearner", "threads"])
    assert [plan.label for plan in plans] == ["ssd · threads=1", "lfssd · threads=2"]
    grids = ["unlearner=ssd unlearner.dampening=1", "unlearner=lfssd", "unlearner=lfssd"]
    ssd, lfssd = planned(*shared, grids=grids)
    assert (ssd.label, lfssd.label) == ("ssd · unlearner.dampening=1", "lfssd")
    assert set(lfssd.space) - set(ssd.space) == {"unlearner.dampening"}


def test_studies_of_two_grids_that_differ_in_what_they_draw_have_two_names():
    grids = ["unlearner.alpha=interval(1,2)", "unlearner.alpha=interval(1,3)"]
    one, other = planned("tracking=none", "unlearner=ssd", grids=grids)
    assert other.name.startswith(f"{one.name}-")
    assert (one.label, other.label) == ("ssd", "ssd · over unlearner.alpha")
    assert (one.space["unlearner.alpha"].high, other.space["unlearner.alpha"].high) == (2, 3)


def test_the_name_says_what_is_fixed_and_not_what_is_drawn():
    def name(*arguments, **changes):
        return planned("unlearner=ssd", *arguments, **changes)[0].name

    unchanged = name()
    assert unchanged == name("unlearner.alpha=interval(1,2)") == name(n_trials=3)
    assert unchanged != name("split.fraction=0.2")
    assert unchanged != name(seeds=[1])
    assert unchanged != name("unlearner.alpha=5")
    assert name("seeds.train=0") not in {unchanged, name("seeds.train=1")}
    assert name(study_name="mine") == "mine"


def test_names_given_by_the_user_are_told_apart():
    plans = planned("unlearner=scrub,ssd", "split.fraction=0.1,0.2", study_name="mine")
    assert [plan.name for plan in plans] == [
        "mine-scrub-split.fraction=0.1", "mine-scrub-split.fraction=0.2",
        "mine-ssd-split.fraction=0.1", "mine-ssd-split.fraction=0.2",
    ]  # fmt: skip


def test_the_defaults_of_a_method_are_a_point_of_its_space(plans):
    ssd = plans[1]
    assert ssd.defaults == {"unlearner.alpha": 10.0, "unlearner.dampening": 1.0}
    assert ssd.is_default({"unlearner.alpha": 10.0, "unlearner.dampening": 1.0})
    assert not ssd.is_default({"unlearner.alpha": 10.0})
    assert not ssd.is_default({"unlearner.alpha": 9.0, "unlearner.dampening": 1.0})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluator=standard"], "evaluator must not look at the test set while tuning"),
        (["unlearner.alhpa=interval(0,1)"], r"unlearner.alhpa in .* did you mean unlearner.alpha"),
        (["unlearner=choice(ssd,scrub)"], "unlearner cannot be drawn: it is a group"),
        (
            ["unlearner.alpha=interval(-1,1)"],
            r"unlearner.alpha must be .*allows unlearner.alpha=-1",
        ),
    ],
)
def test_what_cannot_work_is_refused_by_name(arguments, message):
    with pytest.raises(ConfigError, match=message):
        planned("unlearner=ssd", *arguments)
