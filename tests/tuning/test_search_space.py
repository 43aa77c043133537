"""Axes of search spaces, and the spaces of all methods."""

from decimal import Decimal

import optuna
import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from erasure.config.folders import conf_folder
from erasure.config.overrides import SweepOverride, override_value, parsed_value
from erasure.core.errors import ConfigError
from erasure.tuning.search_space import Axis, search_space

SPACES = sorted(path.stem for path in (conf_folder() / "search").glob("*.yaml"))


@pytest.fixture(scope="module")
def loader():
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return GlobalHydra.instance().config_loader()


@pytest.mark.parametrize("name", SPACES)
def test_every_search_space_is_over_settings_that_exist(compose_config, name, loader):
    cfg = compose_config(f"unlearner={name}", "~evaluator")
    missing = object()
    for setting in search_space(name, loader):
        assert OmegaConf.select(cfg, setting, default=missing) is not missing, setting


def test_a_method_without_a_space_is_refused_when_it_is_tuned(loader):
    with pytest.raises(ConfigError, match=r"there is no search/nothing\.yaml"):
        search_space("nothing", loader)


def test_an_axis_draws_what_it_says():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = Axis(low=1e-4, high=0.5, log=True, one_minus=True)
    for _ in range(30):
        trial = study.ask()
        assert 0.5 <= drawn.suggest(trial, "weight") <= 1 - 1e-4
        assert Axis(low=1, high=3, int=True).suggest(trial, "count") in (1, 2, 3)
        assert Axis(low=1, high=7, int=True, step=3).suggest(trial, "step") in (1, 4, 7)
        assert Axis(choices=[None, 1.0]).suggest(trial, "clip") in (None, 1.0)
        assert 1e-3 <= Axis(low=1e-3, high=1e-1, log=True).suggest(trial, "rate") <= 1e-1


def test_an_axis_is_a_distribution_of_optuna():
    assert Axis(low=1, high=8, int=True, log=True).distribution == IntDistribution(1, 8, log=True)
    assert Axis(low=0, high=1, step=0.25).distribution == FloatDistribution(0, 1, step=0.25)
    assert Axis(choices=["a", None]).distribution == CategoricalDistribution(["a", None])


@pytest.mark.parametrize(
    ("axis", "setting", "drawn"),
    [
        (Axis(low=0.1, high=1.0), 0.5, 0.5),
        (Axis(low=0.1, high=1.0), 3, 1.0),
        (Axis(low=0.1, high=1.0, one_minus=True), 0.75, 0.25),
        (Axis(low=1, high=9, int=True), 12, 9),
        (Axis(low=1, high=9, int=True, step=4), 6, 5),
        (Axis(choices=[1, 2]), 2, 2),
    ],
)
def test_the_nearest_point_of_an_axis(axis, setting, drawn):
    nearest = axis.nearest(setting)
    assert nearest == pytest.approx(drawn)
    assert axis.distribution._contains(axis.distribution.to_internal_repr(nearest))


@pytest.mark.parametrize(
    ("axis", "setting"), [(Axis(choices=[1, 2]), 3), (Axis(low=0, high=1), None)]
)
def test_some_settings_have_no_nearest_point(axis, setting):
    with pytest.raises(KeyError):
        axis.nearest(setting)


def test_points_cover_an_axis_evenly():
    assert Axis(low=0, high=1).points(3) == [0.0, 0.5, 1.0]
    assert Axis(low=1e-4, high=1, log=True).points(3) == pytest.approx([1e-4, 1e-2, 1])
    assert Axis(low=1, high=3, int=True).points(9) == [1, 2, 3]
    assert Axis(choices=["a", "b"]).points(1) == ["a", "b"]
    assert Axis(low=0, high=0.5, one_minus=True).points(2) == [0.0, 0.5]


@pytest.mark.parametrize(
    "wrong",
    [{}, {"low": 1.0}, {"low": 2.0, "high": 1.0}, {"low": 0.0, "high": 1.0, "log": True},
     {"low": 0.0, "high": 1.0, "choices": [1]}, {"choices": []},
     {"low": 0, "high": 1, "step": 0.5, "int": True}, {"low": 1, "high": 2.5, "int": True},
     {"choices": [1], "one_minus": True}, {"low": 0.0, "high": 1.0, "step": 0},
     {"low": 1, "high": 2, "log": True, "step": 1}],
)  # fmt: skip
def test_an_axis_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ConfigError):
        Axis(**wrong)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "null"), (True, "true"), (0.1, "0.1"), (3, "3"), ("it's", r"'it\'s'")],
)
def test_values_are_spelled_as_overrides(value, text):
    assert override_value(value) == text


NUMBERS = st.integers(-50, 50) | st.decimals(-5, 5, places=2).map(float)
STEPS = st.integers(1, 9) | st.sampled_from([0.1, 0.05, 0.25, 0.3, 0.7, 1.5])


@given(NUMBERS, st.integers(1, 40), STEPS, st.sampled_from([0, 0.5, 0.99]))
@example(0, 4, 0.3, 0.5)
@example(0.1, 3, 0.1, 0)
def test_a_range_has_the_values_of_a_grid_in_a_study(start, count, step, rest):
    exact = Decimal(str(start)) + Decimal(str(step)) * (count - 1 + Decimal(str(rest)))
    stop = int(exact) if isinstance(start, int) and exact == int(exact) else float(exact)
    text = f"a=range({start},{stop},{step})"
    override = OverridesParser.create().parse_override(text)
    range_override = SweepOverride(parsed=override, loader=None)
    if rest == 0 and count == 1:
        with pytest.raises(ConfigError, match="has no value"):
            range_override.axis()
        return
    grid = [parsed_value(choice) for choice in range_override.choices()]
    axis = Axis(**range_override.axis())
    drawn_from = axis.distribution
    if isinstance(drawn_from, CategoricalDistribution):
        assert list(drawn_from.choices) == grid
        return
    # as samplers draw: in binary, 3 x 0.1 is 0.30000000000000004
    steps = round((drawn_from.high - drawn_from.low) / drawn_from.step)
    assert [axis.setting(drawn_from.low + k * drawn_from.step) for k in range(steps + 1)] == grid
    assert [axis.nearest(value) for value in grid] == grid
    assert all(drawn_from._contains(drawn_from.to_internal_repr(value)) for value in grid)
    assert axis.points(len(grid)) == grid


def test_what_a_study_draws_of_a_range_is_in_the_grid():
    axis = Axis(low=0, high=1, step=0.1)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = {axis.suggest(study.ask(), "a") for _ in range(60)}
    assert drawn == {0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0}
    steps = {axis.setting(trial.params["a"]) for trial in study.trials}
    assert steps == drawn


@pytest.mark.parametrize(
    ("axis", "setting", "nearest"),
    [
        (Axis(low=0, high=1, step=0.6), 1.0, 0.6),
        (Axis(low=0, high=1, step=0.7), 9, 0.7),
        (Axis(low=1, high=8, int=True, step=4), 8, 5),
        (Axis(low=0, high=1, step=0.3), 1.0, 0.9),
    ],
)
def test_steps_that_do_not_divide_a_range_end_below_its_high(axis, setting, nearest):
    assert axis.nearest(setting) == nearest
    assert axis.points(20)[-1] == nearest
    assert axis.distribution.high == nearest


def test_one_minus_a_step_is_what_one_writes():
    axis = Axis(low=0.1, high=0.9, step=0.1, one_minus=True)
    assert [axis.setting(drawn) for drawn in axis.points(9)][-3:] == [0.3, 0.2, 0.1]
