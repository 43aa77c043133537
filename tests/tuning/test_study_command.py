"""What a command line of a tuning sweep fixes, sweeps over, and draws."""

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from erasure.config.axes import SweeperAxes
from erasure.config.folders import conf_folder
from erasure.core.errors import ConfigError
from erasure.tuning.command import read_commands
from erasure.tuning.search_space import Axis
from erasure.tuning.settings import StudySettings


@pytest.fixture
def read():
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()

        def commands(*arguments, params=None, **sweeper):
            read = read_commands(loader, SweeperAxes(params=params or {}, **sweeper), arguments)
            return read if sweeper else read[0]

        yield commands


def test_several_values_are_studies_and_a_tuning_sweep_looks_at_validation_data(read):
    command = read("unlearner=scrub,ssd", "dataset=digits")
    assert command.axes == {
        "evaluator": ["evaluator=fast"],
        "pictures": ["pictures=false"],
        "unlearner": ["unlearner=scrub", "unlearner=ssd"],
        "dataset": ["dataset=digits"],
    }
    assert command.space == {}
    assert read("pictures=true").axes["pictures"] == ["pictures=true"]


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("interval(0.1,1)", Axis(low=0.1, high=1.0)),
        ("tag(log,interval(1e-4,1e-1))", Axis(low=1e-4, high=0.1, log=True)),
        ("int(interval(1,5))", Axis(low=1, high=5, int=True)),
        ("range(1,5)", Axis(low=1, high=4, int=True)),
        ("range(1,8,3)", Axis(low=1, high=7, int=True, step=3)),
        ("range(0,1,0.25)", Axis(low=0, high=0.75, step=0.25)),
        ("range(0,1,0.3)", Axis(low=0, high=0.9, step=0.3)),
        ("range(0,1)", Axis(choices=[0])),
        ("tag(log,range(1,5))", Axis(low=1, high=4, int=True, log=True)),
        ("choice(16,64)", Axis(choices=[16, 64])),
        ("choice(mean,'a b',true)", Axis(choices=["mean", "a b", True])),
    ],
)
def test_sweeps_of_the_official_style_are_axes(read, text, axis):
    assert read(f"unlearner.alpha={text}").space == {"unlearner.alpha": axis}
    assert read(params={"unlearner.alpha": text}).space == {"unlearner.alpha": axis}


def test_axes_may_be_written_as_mappings_nested_or_not(read):
    axis = {"low": 0, "high": 1}
    wanted = {"unlearner.alpha": Axis(low=0, high=1)}
    assert read(params={"unlearner.alpha": axis}).space == wanted
    assert read(params={"unlearner": {"alpha": axis}}).space == wanted


def test_a_value_takes_a_setting_out_of_the_space_and_the_command_line_wins(read):
    assert "unlearner.alpha" in read("unlearner.alpha=0.5").dropped
    assert read(params={"unlearner.alpha": None}).dropped == {"unlearner.alpha"}
    command = read("unlearner.alpha=0.5", params={"unlearner.alpha": {"low": 0, "high": 1}})
    assert command.space == {}
    command = read("unlearner.alpha=interval(0,1)", params={"unlearner.alpha": 0.5})
    assert "unlearner.alpha" not in {*command.axes, *command.dropped}


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("seed=0,1", "seed must not be set in a tuning sweep.*hydra.sweeper.seeds"),
        ("seed=0", "hydra.sweeper.seeds"),
        ("unlearner.alpha=interval(1,0)", "unlearner.alpha=.*low must be < high"),
        ("unlearner.alpha=tag(log,interval(0,1))", "low must be > 0"),
        ("unlearner.alpha=range(5,1,-1)", "needs an end and a step above 0"),
        ("unlearner.alpha=tag(log,range(1,9,2))", "a logarithmic range takes no step but 1"),
        ("unlearner.alpha=shuffle(range(1,5))", "no order to shuffle"),
        ("unlearner.alpha=range(5,1)", "its end must be above its start"),
    ],
)
def test_what_makes_no_sense_is_one_message(read, argument, message):
    with pytest.raises(ConfigError, match=message):
        read(argument)


def test_grids_are_commands_of_their_own_and_win_over_params(read):
    axis = {"low": 0, "high": 1}
    grids = ["unlearner=scrub unlearner.alpha=2", {"unlearner": "ssd", "unlearner.alpha": axis}]
    scrub, ssd = read("threads=2", params={"unlearner.alpha": "interval(3,4)"}, grids=grids)
    assert scrub.axes["unlearner"] == ["unlearner=scrub"]
    assert scrub.axes["unlearner.alpha"] == ["unlearner.alpha=2"]
    assert (scrub.space, scrub.dropped & {"unlearner.alpha"}) == ({}, {"unlearner.alpha"})
    assert ssd.space == {"unlearner.alpha": Axis(**axis)}
    assert "unlearner.alpha" not in {*ssd.axes, *ssd.dropped}
    assert scrub.axes["threads"] == ssd.axes["threads"] == ["threads=2"]


def test_what_is_drawn_takes_no_steps(read):
    (command,) = read("unlearner=scrub,ssd", "threads=1,2", paired=["unlearner", "threads"])
    assert [overrides[2:] for overrides in command.product.overrides()] == [
        ("unlearner=scrub", "threads=1"), ("unlearner=ssd", "threads=2"),
    ]  # fmt: skip
    with pytest.raises(ConfigError, match=r"zip names unlearner\.alpha, which is drawn"):
        read("threads=1,2", "unlearner.alpha=range(0,2)", paired=["threads", "unlearner.alpha"])


def test_params_that_are_no_axis_are_refused(read):
    with pytest.raises(ConfigError, match=r"params: unlearner\.alpha\.hihg is not .*\.high\?"):
        read(params={"unlearner.alpha": {"low": 0, "hihg": 1}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_trials": 0}, "hydra.sweeper.n_trials must be at least 1, got 0"),
        ({"n_jobs": 1.5}, "hydra.sweeper.n_jobs must be at least 1"),
        ({"seeds": []}, "hydra.sweeper.seeds must be a list of whole numbers"),
        ({"seeds": [1, 1]}, "hydra.sweeper.seeds must be distinct"),
        ({"seeds": 3}, "hydra.sweeper.seeds must be a list"),
        ({"max_trial_seconds": -1}, "hydra.sweeper.max_trial_seconds must be null or > 0"),
        ({"max_failures": 0}, "hydra.sweeper.max_failures must be in"),
        ({"storage": " "}, "hydra.sweeper.storage must be null or text"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(changes, message):
    with pytest.raises(ConfigError, match=message):
        StudySettings(**changes)
