"""Samplers and pruners by their YAML files."""

import itertools
from pathlib import Path

import optuna
import pytest
from omegaconf import OmegaConf
from studies import Runner, drawn, opened, planned, states

from erasure.config.folders import conf_folder
from erasure.core.errors import ConfigError
from erasure.tuning.sampler import (
    build_pruner,
    build_sampler,
    is_by_seed,
    is_pruning,
    most_trials,
    rehearse,
)
from erasure.tuning.search_space import Axis

SPACE = {
    "a": Axis(low=1e-3, high=1.0, log=True),
    "b": Axis(low=1, high=4, int=True),
    "c": Axis(low=0.0, high=1.0),
}
FOLDER = conf_folder() / "hydra" / "sweeper"


def node(kind, name, **changes):
    return {**OmegaConf.to_container(OmegaConf.load(FOLDER / kind / f"{name}.yaml")), **changes}


def stems(kind):
    return sorted(Path(path).stem for path in (FOLDER / kind).glob("*.yaml"))


def draws(sampler_node, count, study="s", space=SPACE):
    """Draw as several processes would: a sampler of its own for every trial."""
    made = optuna.create_study()
    drawn_points = []
    for number in range(count):
        made.sampler = build_sampler(sampler_node, space, study, number)
        trial = made.ask({name: axis.distribution for name, axis in space.items()})
        made.tell(trial, sum(float(value) for value in trial.params.values()))
        drawn_points.append(tuple(trial.params.values()))
    return drawn_points


def test_there_is_every_sampler_and_pruner():
    assert set(stems("sampler")) == {
        "tpe", "gp", "nsgaii", "nsgaiii", "cmaes", "random", "qmc", "grid",
    }  # fmt: skip
    assert set(stems("pruner")) == {"none", "median", "hyperband", "wilcoxon"}


@pytest.mark.parametrize("name", [name for name in stems("sampler") if name != "gp"])
def test_every_sampler_draws_inside_and_the_same_again_and_never_twice(name):
    drawn_points = draws(node("sampler", name), 14)
    assert drawn_points == draws(node("sampler", name), 14)
    assert drawn_points != draws(node("sampler", name), 14, study="other")
    assert drawn_points != draws(node("sampler", name, seed=5), 14)
    assert all(1e-3 <= a <= 1 and b in (1, 2, 3, 4) and 0 <= c <= 1 for a, b, c in drawn_points)
    assert len(set(drawn_points)) == 14


def test_the_gaussian_process_draws_after_its_start():
    drawn_points = draws(node("sampler", "gp", n_startup_trials=2), 4)
    assert len(set(drawn_points)) == 4


def test_two_trials_at_the_same_time_are_drawn_differently():
    study = optuna.create_study()
    trials = []
    for number in range(3):
        study.sampler = build_sampler(node("sampler", "tpe"), SPACE, "s", number)
        trials.append(study.ask({name: axis.distribution for name, axis in SPACE.items()}))
    assert len({tuple(trial.params.values()) for trial in trials}) == 3


def test_a_grid_visits_every_combination_once():
    grid = node("sampler", "grid", points=3)
    space = {"a": Axis(low=0.0, high=1.0), "b": Axis(choices=["x", "y"])}
    sampler = build_sampler(grid, space, "s", 0)
    assert most_trials(sampler, 100) == 1 + 6
    assert most_trials(sampler, 4) == 4
    cells = []
    study = optuna.create_study()
    for number in range(7):
        study.sampler = build_sampler(grid, space, "s", number)
        trial = study.ask({name: axis.distribution for name, axis in space.items()})
        cells.append(tuple(trial.params.values()))
    assert sorted(cells[1:]) == sorted(itertools.product([0.0, 0.5, 1.0], ["x", "y"]))


@pytest.mark.slow
def test_a_grid_study_ends_when_everything_was_tried(tmp_path):
    (plan,) = planned("unlearner=ssd", "tracking=none")
    grid = node("sampler", "grid", points=2)
    client = opened(plan, total=5, sampler=grid)
    Runner([client], tmp_path, lambda cfg: {"gap/avg": 0.5}).all()
    assert states(client) == ["COMPLETE"] * 5
    corners = {tuple(trial.values()) for trial in drawn(client)[1:]}
    assert len(corners) == 4


@pytest.mark.parametrize("name", stems("pruner"))
def test_every_pruner_builds(name):
    pruner = build_pruner(node("pruner", name), num_seeds=2)
    assert is_pruning(pruner) == (name != "none")
    assert is_by_seed(pruner) == (name == "wilcoxon")
    rehearse(
        build_sampler(node("sampler", "tpe"), SPACE, "s", 0),
        pruner,
        SPACE,
        ["minimize"],
    )


@pytest.mark.parametrize(
    ("sampler", "pruner", "message"),
    [
        ("nsgaii", "median", "pruner must be none with several objectives.*MedianPruner and 2"),
        ("cmaes", "none", "sampler=CmaEsSampler cannot search here"),
    ],
)
def test_what_does_not_go_together_is_refused(sampler, pruner, message):
    with pytest.raises(ConfigError, match=message):
        rehearse(
            build_sampler(node("sampler", sampler), SPACE, "s", 0),
            build_pruner(node("pruner", pruner), 1),
            SPACE,
            ["minimize", "minimize"],
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": "x"}, "hydra.sweeper.sampler.seed must be a whole number, got 'x'"),
        ({"startup": 3}, "hydra.sweeper.sampler.startup is not a setting here"),
    ],
)
def test_wrong_settings_of_a_sampler_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        build_sampler(node("sampler", "tpe", **changes), SPACE, "s", 0)


def test_a_grid_without_points_is_refused():
    with pytest.raises(ConfigError, match="points must be at least 1"):
        build_sampler(node("sampler", "grid", points=0), SPACE, "s", 0)
