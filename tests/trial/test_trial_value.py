"""A trial is a value: said in YAML or made of objects, it is the same."""

import dataclasses
import functools

import pytest
import torch

import erasure
from erasure.config.canonical import canonical, public_name, settings_of
from erasure.config.folders import conf_folder
from erasure.config.loading import load_config
from erasure.config.options import option_names
from erasure.core.errors import ConfigError
from erasure.training.fit import Fit
from erasure.trial.task import trial_of
from erasure.unlearners.ssd import SSD

NEEDS_MORE = {
    "split": {
        "artifact": ["split.path=somewhere"],
        "attribute": ["split.attribute=person", "split.values=[1]"],
        "confusion": ["split.classes=[1,2]"],
        "difficulty": [],
        "ids": ["split.path=ids.txt"],
        "query": ["split.where='target == 1'"],
        "subclass": ["split.values=[1]"],
    },
    # an object of a relative place has the absolute one
    "tracking": {"mlflow": ["tracking.uri=sqlite:////there/mlflow.db"]},
}
"""What options cannot be built without, by group."""


CHEAP = (
    ("unlearner", "scrub"),
    ("unlearner", "ssd"),
    ("split", "class"),
    ("split", "sequential"),
    ("trainer", "sharded"),
    ("evaluator", "fast"),
)
"""Options that stand for all others where every second counts."""


def options():
    groups = ("unlearner", "split", "trainer", "evaluator", "objective", "dataset", "tracking")
    for group in groups:
        for name in option_names(group):
            marks = () if (group, name) in CHEAP else pytest.mark.slow
            yield pytest.param(group, name, marks=marks)


@pytest.fixture(scope="module")
def composed():
    """Return the trial of some overrides."""

    def compose(*overrides):
        return trial_of(load_config("config", ["evaluator=fast", *overrides]))

    return compose


@pytest.mark.parametrize(("group", "option"), list(options()))
def test_a_component_made_of_yaml_is_turned_back_into_it(composed, group, option):
    """Out of settings comes an object, out of the object the settings, and the same trial.

    The object is also made anew by its class and keyword arguments, as one writes it in Python.
    """
    trial = composed(f"{group}={option}", *NEEDS_MORE.get(group, {}).get(option, []))
    if "???" in str(trial.settings[group]):
        pytest.skip("has settings without a default")
    component = trial.component(group)
    values = {f.name: getattr(component, f.name) for f in dataclasses.fields(component) if f.init}
    for made in (component, type(component)(**values)):
        assert settings_of(made, group) == trial.settings[group]
        other = trial.replace(**{group: made})
        assert other.settings == trial.settings
        assert other.fingerprint == trial.fingerprint


def test_a_default_may_be_said_or_not(composed):
    trial = composed("unlearner=ssd")
    assert trial.replace(unlearner=SSD()).fingerprint == trial.fingerprint
    assert trial.replace(unlearner=SSD(alpha=10)).fingerprint == trial.fingerprint
    assert trial.replace(unlearner=SSD(alpha=11)).fingerprint != trial.fingerprint
    assert composed("unlearner=ssd", "unlearner.alpha=10").fingerprint == trial.fingerprint
    assert composed("unlearner=ssd", "~unlearner.alpha").fingerprint == trial.fingerprint


def test_a_class_goes_by_one_name(composed):
    trial = composed("unlearner=ssd")
    for name in ("erasure.unlearners.ssd.SSD", "erasure.unlearners.SSD"):
        same = composed("unlearner=custom", f"unlearner._target_={name}")
        assert same.settings["unlearner"] == trial.settings["unlearner"]
    assert public_name(SSD) == "erasure.unlearners.SSD"
    assert public_name(torch.optim.Adam) == "torch.optim.Adam"
    assert public_name(erasure.splits.ClassForget) == "erasure.splits.ClassForget"
    assert public_name(erasure.datasets.Digits) == "erasure.datasets.Digits"


def test_an_option_is_found_for_an_object(composed):
    trial = composed("unlearner=scrub", "split=class").replace(unlearner=SSD())
    assert trial.record.tags["unlearner"] == "ssd"
    assert trial.record.name == "ssd · digits_noisy · mlp · class · seed 0"
    assert trial.replace(unlearner=Halve()).record.tags["unlearner"] == "Halve"


def test_a_seed_moves_every_stage(composed):
    assert composed().replace(seed=3).fingerprint == composed("seed=3").fingerprint
    assert composed().replace(seed=3).seeds == composed("seed=3").seeds


def test_models_are_classes_or_partials(composed):
    trial = composed("model=mlp")
    settings = dict(trial.settings["model"])
    target = settings.pop("_target_")
    assert target == "erasure.models.MLP"
    made = functools.partial(erasure.models.MLP, **settings)
    assert trial.replace(model=made).fingerprint == trial.fingerprint
    assert trial.replace(model=erasure.models.MLP).settings["model"] == {"_target_": target}


def make_fit():
    adam = functools.partial(torch.optim.Adam, lr=0.1)
    return Fit(optimizer=adam, epochs=1, batch_size=8)


@dataclasses.dataclass(frozen=True)
class Halve:
    """A method of one's own."""

    fit: Fit = dataclasses.field(default_factory=make_fit)
    weights: tuple[float, ...] = (1, 2)

    def __call__(self, task):
        return task.model


def test_nested_settings_have_one_form():
    settings = settings_of(Halve(), "unlearner")
    assert settings["_target_"].endswith(".Halve")
    assert settings["weights"] == [1.0, 2.0]
    assert settings["fit"]["_target_"] == "erasure.training.Fit"
    assert canonical({"unlearner": settings})["unlearner"] == settings


def test_keys_that_are_numbers_stay_numbers():
    settings = {"split": {"weights": {1: 0.5, "a": 2}}}
    assert canonical(settings) == settings


def test_what_is_not_made_of_settings_is_refused(composed):
    trial = composed()
    with pytest.raises(ConfigError, match=r"^unlearner must be a dataclass, whose fields"):
        trial.replace(unlearner=torch.zeros(2))
    with pytest.raises(ConfigError, match=r"^model must be a class or function that can be imp"):
        trial.replace(model=lambda: None)
    with pytest.raises(ConfigError, match=r"^model must have its settings by name, got \(3,\)"):
        trial.replace(model=functools.partial(erasure.models.MLP, 3))
    with pytest.raises(ConfigError, match=r"^method is no part of a trial; there are data, data"):
        trial.replace(method=SSD())


def test_compose_says_what_the_command_line_says():
    with pytest.raises(ConfigError, match=r"^unlearner=scrup does not exist; did you mean scrub"):
        erasure.compose("unlearner=scrup")
    with pytest.raises(ConfigError, match="seed"):
        erasure.compose("seed=abc")
    assert conf_folder().is_dir()


def test_compose_leaves_hydra_as_it_was():
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig

    before = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    erasure.compose("unlearner=ssd")
    assert (GlobalHydra.instance().hydra, HydraConfig.instance().cfg) == before


@pytest.mark.slow
def test_a_trial_of_python_and_of_the_command_line_are_one(tmp_path, python):
    overrides = [
        "unlearner=ssd",
        "evaluator=fast",
        "pictures=false",
        "trainer.fit.epochs=2",
        "tracking=none",
        f"store.root={tmp_path / 'store'}",
    ]
    trial = erasure.compose(*overrides)
    states = torch.random.get_rng_state()
    result = trial.replace(unlearner=SSD()).run()
    assert torch.equal(states, torch.random.get_rng_state())
    assert result.trial.fingerprint == trial.fingerprint
    script = conf_folder().parent / "run.py"
    done = python(script, *overrides, f"hydra.run.dir={tmp_path / 'out'}")
    assert "this trial finished before and is read back" in done.stdout
    again = trial.run()
    assert again.metrics == result.metrics
    assert again.result.trained == result.result.trained == 2
    frame = result.to_frame()
    assert frame.loc["forget/accuracy", "unlearned"] == result.metrics["forget/accuracy"]
    assert frame.loc["forget/accuracy", "gold"] == result.gold["forget/accuracy"]
    kept = result.model("unlearned")
    (result.folder / "model.safetensors").unlink()
    made = trial.run().model("unlearned")
    for name, value in kept.state_dict().items():
        assert torch.equal(value, made.state_dict()[name])
    assert not torch.equal(
        next(result.model("original").parameters()), next(result.model("gold").parameters())
    )
    with pytest.raises(ConfigError, match=r"^role must be one of original, unlearned, gold"):
        result.model("teacher")
