"""Axes that are there only while another setting has a certain value."""

import csv
import io
from functools import cache

import optuna
import pytest
from omegaconf import OmegaConf
from studies import Runner, drawn, opened, planned

from erasure.config.folders import conf_folder
from erasure.core.errors import ConfigError
from erasure.tuning.choice import overrides_of, settings_of
from erasure.tuning.conditions import draw
from erasure.tuning.recipe import KeptStudy
from erasure.tuning.sampler import build_sampler, most_trials
from erasure.tuning.search_space import Axis
from erasure.tuning.summary import StudyResult, StudyTable

NUMBERS = {
    "depth": Axis(low=1, high=3, int=True),
    "width": Axis(low=0.0, high=1.0, when={"depth": [2, 3]}),
    "tail": Axis(low=0.0, high=1.0),
    "decay": Axis(low=0.0, high=1.0, step=0.5, when={"depth": 3}),
    "warmup": Axis(low=1, high=9, int=True, when={"decay": [0.5, 1.0]}),
}

CHOICES = {
    "order": Axis(choices=["once", "anew", "both"]),
    "share": Axis(low=0.1, high=1.0, when={"order": ["anew", "both"]}),
    "rate": Axis(low=1e-4, high=1e-1, log=True),
    "repeat": Axis(choices=[True, False], when={"order": "both"}),
    "pause": Axis(low=1, high=3, int=True, when={"repeat": True}),
}
SAMPLERS = ["tpe", "gp", "nsgaii", "nsgaiii", "cmaes", "random", "qmc", "grid"]
RANDOM_LABELS = {
    "unlearner.order": {"choices": ["sequential_resample", "mixed_fixed"]},
    "unlearner.retain_share": {
        "low": 0.5,
        "high": 1.0,
        "when": {"unlearner.order": "mixed_fixed"},
    },
    "unlearner.exclude_true": None,
    "unlearner.fit.epochs": None,
    "unlearner.fit.optimizer.lr": None,
}


def trials_of(name, space, count):
    """Draw as several processes would, each trial with a sampler of its own."""
    study = optuna.create_study()
    for number in range(count):
        study.sampler = build_sampler(_node(name), space, "s", number)
        trial = study.ask()
        settings = draw(space, trial)
        study.tell(trial, sum(len(str(value)) for value in settings.values()) % 7)
        yield settings


@cache
def random_labels():
    return planned("unlearner=random_labels", "tracking=none", params=RANDOM_LABELS)[0]


def _node(name):
    path = conf_folder() / "hydra" / "sweeper" / "sampler" / f"{name}.yaml"
    node = OmegaConf.to_container(OmegaConf.load(path))
    starts = {"n_startup_trials": 2} if name in ("tpe", "gp") else {}
    small = {"population_size": 4} if name.startswith("nsga") else {}
    return {**node, **starts, **small}


@pytest.mark.parametrize("space", [NUMBERS, CHOICES], ids=["numbers", "choices"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_draws_what_is_there_and_nothing_else(name, space):
    seen = list(trials_of(name, space, 8 if name == "gp" else 16))
    for settings in seen:
        for key, axis in space.items():
            there = all(settings.get(k) in values for k, values in axis.conditions.items())
            assert (key in settings) == there
    assert len({frozenset(settings) for settings in seen}) > 1
    assert list(trials_of(name, space, 8)) == seen[:8]


def test_a_grid_visits_every_combination_of_what_exists_once():
    sampler = build_sampler({**_node("grid"), "points": 2}, CHOICES, "s", 0)
    # once: 2 rates; anew: 2 shares x 2 rates; both: 2 x 2 x (False, or True with 2 pauses)
    assert most_trials(sampler, 100) == 1 + 2 + 4 + 12


@pytest.mark.slow
def test_a_study_draws_checks_and_keeps_conditional_axes(tmp_path):
    plan = random_labels()
    assert plan.defaults == {"unlearner.order": "sequential_resample"}
    assert plan.is_default({"unlearner.order": "sequential_resample"})
    assert not plan.is_default(
        {"unlearner.order": "sequential_resample", "unlearner.retain_share": 1}
    )
    assert not plan.is_default({"unlearner.order": "mixed_fixed", "unlearner.retain_share": 1.0})

    client = opened(plan, total=8, sampler={"_target_": "optuna.samplers.RandomSampler"})
    shares = []

    def measure(cfg):
        shares.append((cfg.unlearner.order, cfg.unlearner.retain_share))
        return {"gap/avg": 0.1 if cfg.unlearner.order == "sequential_resample" else 0.5}

    Runner([client], tmp_path, measure).all()
    assert {len(settings) for settings in drawn(client)} == {1, 2}
    assert all(share == 1.0 for order, share in shares if order == "sequential_resample")
    assert any(share < 1.0 for order, share in shares if order == "mixed_fixed")

    result = StudyResult(client=client, trials=client.trials)
    assert (result.best.number, result.defaults.number) == (0, 0)
    settings = settings_of(result.best, plan.space)
    assert overrides_of(settings) == ["unlearner.order='sequential_resample'"]
    table = StudyTable(
        run_results=[], studies=[result], conditions={}, stopped="", fingerprint="f"
    )
    rows = list(csv.DictReader(io.StringIO(table._trials())))
    assert {row["unlearner.retain_share"] == "" for row in rows} == {True, False}


def test_what_is_kept_of_a_study_has_its_conditions():
    plan = random_labels()
    axes = {name: vars(axis) for name, axis in plan.space.items()}
    kept = KeptStudy(name="s", config={}, search_settings={"axes": axes}, trials=[])
    assert kept.space == plan.space


def test_a_study_does_not_go_on_under_another_condition():
    plan = random_labels()
    storage = optuna.storages.InMemoryStorage()
    opened(plan, storage=storage)
    share = {"low": 0.5, "high": 1.0}
    (other,) = planned(
        "unlearner=random_labels",
        "tracking=none",
        params={**RANDOM_LABELS, "unlearner.retain_share": share},
    )
    assert other.name == plan.name
    with pytest.raises(ConfigError, match=r"another search space \(unlearner\.retain_share\)"):
        opened(other, storage=storage)


@pytest.mark.parametrize(
    ("when", "names"),
    [
        ({"model": "mlp"}, {"unlearner.alpha", "unlearner.dampening"}),
        ({"model": ["cnn", "mlp"]}, {"unlearner.alpha", "unlearner.dampening"}),
        ({"model": "cnn"}, {"unlearner.alpha"}),
        ({"threads": 1, "pictures": False}, {"unlearner.alpha", "unlearner.dampening"}),
        ({"threads": True}, {"unlearner.alpha"}),
    ],
)
def test_a_condition_on_what_is_fixed_is_settled_for_the_whole_study(when, names):
    axis = {"low": 0.1, "high": 1.0, "when": when}
    (plan,) = planned("unlearner=ssd", "tracking=none", params={"unlearner.dampening": axis})
    assert set(plan.space) == names
    assert all(axis.when is None for axis in plan.space.values())


def test_what_depends_on_an_axis_that_is_left_out_is_left_out():
    dampening = {"choices": [0.5, 1.0], "when": {"threads": 2}}
    alpha = {"low": 1, "high": 9, "when": {"unlearner.dampening": 1.0}}
    params = {"unlearner.alpha": alpha, "unlearner.dampening": dampening}
    assert planned("unlearner=ssd", "tracking=none", params=params)[0].space == {}
    (plan,) = planned("unlearner=ssd", "tracking=none", "threads=2", params=params)
    assert list(plan.space) == ["unlearner.dampening", "unlearner.alpha"]  # as they depend
    # a setting that is fixed is no axis any more
    fixed = planned("unlearner=ssd", "tracking=none", "unlearner.dampening=1.0", params=params)
    assert list(fixed[0].space) == ["unlearner.alpha"]


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ({"unlearner.alhpa": 1}, "unlearner.dampening in the search space depends on "
                                 "unlearner.alhpa, which is not a setting"),
        ({"unlearner": 1, "seeds": 1}, "depends on seeds, which is a group of settings"),
        ({"unlearner.alpha": 3.0}, "depends on unlearner.alpha=3.0, which is never drawn"),
        ({"unlearner.dampening": 1}, "depend on each other: unlearner.dampening on unl"),
        ({}, "when must map settings to values"),
        ("mlp", "unlearner.dampening.when must be a mapping of names to values or null"),
        ({"model": []}, "when must allow a value of each setting"),
    ],
)  # fmt: skip
def test_conditions_that_make_no_sense_are_refused_before_anything_runs(when, message):
    params = {"unlearner.dampening": {"low": 0.1, "high": 1.0, "when": when}}
    with pytest.raises(ConfigError, match=message):
        planned("unlearner=ssd", "tracking=none", params=params)
