"""What takes the place of a component: by which option it goes, and what is refused."""

import pytest

import erasure
from erasure.config.build import build
from erasure.core.errors import ConfigError


def composed(*overrides):
    return erasure.compose("tracking=none", "evaluator=fast", *overrides)


@pytest.mark.parametrize(
    ("group", "option"),
    [
        ("trainer", "sgd"),
        ("trainer", "sharded"),
        ("unlearner", "unsir_class"),
        ("split", "class"),
        ("dataset", "digits"),
        ("dataset", "cora"),
    ],
)
def test_an_object_goes_by_the_option_with_its_settings(group, option):
    trial = composed(f"{group}={option}")
    other = composed().replace(**{group: build(trial.settings[group], group)})
    assert other.record.tags[group] == option


def test_a_component_with_settings_of_its_own_goes_by_the_option_of_its_class():
    other = composed().replace(unlearner=erasure.unlearners.SSD(alpha=3))
    assert other.record.tags["unlearner"] == "ssd"
    # ten options are recipes of one trainer, and this is none of them
    trainer = build(composed("trainer.fit.epochs=7").settings["trainer"], "trainer")
    assert composed().replace(trainer=trainer).record.tags["trainer"] == "Standard"


def test_some_settings_of_a_group_may_be_replaced():
    trial = composed()
    settings = trial.replace(references={"size": 8}, data={"root": "elsewhere"}).settings
    assert settings["references"] == {**trial.settings["references"], "size": 8}
    assert settings["data"] == {**trial.settings["data"], "root": "elsewhere"}
    assert trial.replace(seeds={"split": 5}).seeds.split == 5
    assert trial.replace(seeds={"split": 5}).seeds.train == trial.seeds.train
    assert trial.replace(seeds={"split": 5}).fingerprint == composed("seeds.split=5").fingerprint


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"unlearner": "scrub"}, r"unlearner must be a component .* got 'scrub'"),
        ({"unlearner": None}, r"unlearner must be a component .* got None"),
        ({"trainer": {"epochs": 3}}, r"trainer must be a component .* got {'epochs': 3}"),
        (
            {"seeds": {"splits": 5}},
            r"seeds\.splits is not a setting here.* did you mean seeds\.split",
        ),
        ({"seed": "abc"}, r"trial\.seed must be a whole number, got 'abc'"),
        ({"references": {"size": 0.5}}, r"references\.size must be a whole number, got 0\.5"),
        ({"seeds": 5}, r"seeds must be a mapping of settings, got 5"),
    ],
)
def test_what_is_no_component_is_refused_at_once(replaced, message):
    with pytest.raises(ConfigError, match=message):
        composed().replace(**replaced)


def test_another_seed_needs_no_data_again():
    trial = composed("device=cpu", "dataset=iris")
    assert "data" not in vars(trial)
    data = trial.data
    assert trial.seeded(5).data is data
    assert trial.seeded(5).seeds.unlearn == 5
    assert trial.seeded(5).fingerprint != trial.fingerprint
