"""A trial is the same, whether its components come out of YAML or are objects."""

from functools import partial
from pathlib import Path

import pytest
import torch
from tiers import one_in_default

import erasure
from erasure.config.build import build
from erasure.core.errors import ConfigError

CONF = Path(__file__).parents[2] / "conf"
GROUPS = ("unlearner", "split", "trainer", "evaluator", "objective", "dataset")
TO_BE_SET = {
    "unlearner=custom": ["unlearner._target_=erasure.unlearners.Identity"],
    "split=artifact": ["split.path=there"],
    "split=attribute": ["split.attribute=writer", "split.values=[1]"],
    "split=ids": ["split.ids=[1,2]"],
    "split=query": ["split.where='a > 1'"],
    "split=subclass": ["split.values=[1]"],
    "dataset=torchvision": ["dataset.name=MNIST"],
    "dataset=huggingface": ["dataset.path=there", "dataset.target=label", "dataset.text=[body]"],
    "dataset=image_folder": ["dataset.path=there"],
    "dataset=tabular_csv": ["dataset.path=there"],
    "dataset=tensor_file": ["dataset.path=there"],
    "dataset=text_csv": ["dataset.path=there"],
}
OPTIONS = [
    (group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("[!_]*.yaml"))
]


def composed(*overrides):
    return erasure.compose("tracking=none", "evaluator=fast", *overrides)


@pytest.mark.parametrize(("group", "option"), one_in_default(OPTIONS))
def test_every_option_says_the_same_as_an_object(group, option):
    chosen = f"{group}={option}"
    fast = [] if group == "evaluator" else ["evaluator=fast"]
    trial = erasure.compose("tracking=none", chosen, *fast, *TO_BE_SET.get(chosen, []))
    component = build(trial.settings[group], group)
    other = trial.replace(**{group: component})
    assert other.settings == trial.settings
    assert other.fingerprint == trial.fingerprint
    # and once more: what was made of an object is built to an equal one
    again = other.replace(**{group: build(other.settings[group], group)})
    assert again.settings == trial.settings


@pytest.mark.parametrize(
    ("group", "option"),
    [("trainer", "sgd"), ("unlearner", "unsir_class"), ("split", "class"), ("dataset", "digits")],
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


def test_what_is_replaced_has_the_fingerprint_of_the_command_line():
    trial = composed("seed=1")
    by_object = trial.replace(unlearner=erasure.unlearners.SSD(alpha=5))
    assert (
        by_object.fingerprint
        == composed("seed=1", "unlearner=ssd", "unlearner.alpha=5").fingerprint
    )
    assert by_object.fingerprint != trial.fingerprint
    assert trial.replace(seed=2).fingerprint == composed("seed=2").fingerprint


def test_numbers_defaults_and_paths_are_brought_to_one_form():
    trial = composed("unlearner=ssd")
    stated = {"_target_": "erasure.unlearners.ssd.SSD", "alpha": 10}
    assert trial.replace(unlearner=stated).settings == trial.settings
    assert isinstance(trial.replace(unlearner=stated).settings["unlearner"]["alpha"], float)


def test_a_model_is_a_class_or_a_partial_or_a_mapping():
    trial = composed()
    settings = {k: v for k, v in trial.settings["model"].items() if k != "_target_"}
    mlp = getattr(erasure.models, trial.settings["model"]["_target_"].rpartition(".")[2])
    assert trial.replace(model=partial(mlp, **settings)).fingerprint == trial.fingerprint
    assert trial.replace(model=trial.settings["model"]).fingerprint == trial.fingerprint
    assert (
        trial.replace(model=mlp).settings["model"]["_target_"]
        == trial.settings["model"]["_target_"]
    )


@pytest.mark.parametrize(
    ("component", "message"),
    [
        (lambda task: task.model, "unlearner must be a class or function that can be imported"),
        (torch.zeros(2), "unlearner must be a dataclass, whose fields are its settings"),
        (partial(erasure.unlearners.SSD, 3.0), "unlearner must have its settings by name"),
    ],
)
def test_what_is_not_made_of_settings_is_refused(component, message):
    with pytest.raises(ConfigError, match=message):
        composed().replace(unlearner=component)


def test_there_is_no_other_part():
    with pytest.raises(ConfigError, match="method is no part of a trial; there are "):
        composed().replace(method=erasure.unlearners.SSD())


def test_another_seed_needs_no_data_again():
    trial = composed("device=cpu")
    assert "data" not in vars(trial)
    data = trial.data
    assert trial.seeded(5).data is data
    assert trial.seeded(5).seeds.unlearn == 5
    assert trial.seeded(5).fingerprint != trial.fingerprint
