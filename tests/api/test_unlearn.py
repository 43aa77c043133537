"""Every method on a model and tensors of one's own, and what it leaves alone."""

import copy
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from own_data import own_parts, views
from torch import nn

import erasure
from erasure.config.options import build_option, option_names
from erasure.core.errors import ConfigError, ErasureError, NoOpError, UnsupportedError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import isolated
from erasure.testing import toy_task
from erasure.testing.surroundings import Surroundings
from erasure.testing.toy import SHARDED
from erasure.training.fit import Fit
from erasure.unlearners.finetune import Finetune
from erasure.unlearners.grad_ascent import GradAscent

METHODS = option_names("unlearner")
NEEDS = {
    "bad_teacher": "fresh=",
    "kde": "fresh=",
    "retrain": "trainer=",
    "rni": "fresh=",
    "scrub_r": "val=",
    "sisa": "trained in shards",
    "unsir_class": "whole classes",
    "ct": "convolutions",
}
"""What methods miss that get a model and two sets of samples, by what the message names."""

ELSEWHERE = ("sisa", "unsir_class", "ct")
"""Methods that need another model or forget set, whatever else is passed."""


def same(one, other):
    return model_fingerprint(one) == model_fingerprint(other)


def short(**settings):
    return {"fit": {"epochs": 1}, **settings}


def test_there_are_as_many_methods_as_files():
    assert len(METHODS) == 38
    assert set(NEEDS) <= set(METHODS)


BY_DEFAULT = {*NEEDS, "scrub", "ssd", "salun", "certified_linear"}
CASES = [
    pytest.param(name, marks=() if name in BY_DEFAULT else pytest.mark.slow) for name in METHODS
]


@pytest.mark.parametrize("name", CASES)
def test_a_method_works_with_two_sets_of_samples_or_says_what_it_misses(name):
    model, parts, _ = own_parts()
    call = partial(
        erasure.unlearn, model, forget=parts["forget"], retain=parts["retain"], method=name
    )
    if name in NEEDS:
        with pytest.raises(UnsupportedError, match=NEEDS[name]) as caught:
            call()
        assert "\n" not in str(caught.value)
        return
    unlearned = call()
    assert unlearned is not model
    assert same(unlearned, model) == (name == "identity")


@pytest.mark.parametrize("name", sorted(set(NEEDS) - set(ELSEWHERE)))
@pytest.mark.slow
def test_a_method_works_with_what_it_missed(name):
    model, parts, fresh = own_parts()
    unlearned = erasure.unlearn(model, **parts, method=name, fresh=fresh, trainer="adam")
    assert not same(unlearned, model)


@pytest.mark.slow
def test_methods_that_need_another_model_or_forget_set_work_with_it():
    model, parts, _ = own_parts("cnn")
    assert not same(erasure.unlearn(model, **parts, method="ct"), model)
    model, parts, _ = own_parts(whole_class=True)
    assert not same(erasure.unlearn(model, **parts, method="unsir_class"), model)


def test_sisa_trains_the_shards_again_that_saw_what_is_forgotten():
    task = toy_task("sharded")
    _, _, member = own_parts("mlp")
    unlearned = erasure.unlearn(
        task.model, **views(task), method="sisa", fresh=member, trainer=SHARDED
    )
    assert type(unlearned) is type(task.model)
    assert not same(unlearned, task.model)


@pytest.mark.parametrize("name", ["scrub", "random_labels", "fisher_forgetting"])
@pytest.mark.slow
def test_it_is_what_a_trial_does_bit_for_bit(name):
    task = toy_task("cnn", seed=3)
    unlearner = build_option("unlearner", name)
    with isolated(3, "unlearn", "layers"):
        theirs = unlearner(toy_task("cnn", seed=3))
    assert same(erasure.unlearn(task.model, **views(task), method=name, seed=3), theirs)
    model, parts, _ = own_parts("cnn", seed=3)
    ours = erasure.unlearn(model, **parts, method=name, seed=3)
    # ids differ where samples are not rows of one pool, and with them nothing else
    assert same(ours, theirs)


def test_equal_seeds_give_equal_weights_and_others_do_not():
    model, parts, _ = own_parts()
    call = partial(erasure.unlearn, model, **parts, **short())
    assert same(call(seed=1), call(seed=1))
    assert not same(call(seed=1), call(seed=2))


class Noisy(nn.Module):
    """Dropout and batch normalization, which have modes and draw from the global generator."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(36, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 4)
        )

    def forward(self, inputs):
        return self.layers(inputs)


def test_nothing_is_changed_written_or_shown(tmp_path, monkeypatch, capfd, recwarn):
    monkeypatch.chdir(tmp_path)
    _, parts, _ = own_parts()
    with isolated(0, "a test"):
        model = Noisy()
    model.layers[1].eval()
    before, flags = copy.deepcopy(model), [m.training for m in model.modules()]
    held = {name: [t.clone() for t in pair] for name, pair in parts.items()}
    surroundings = Surroundings.capture()
    unlearned = erasure.unlearn(model, **parts, method="finetune", **short())
    later = Surroundings.capture()
    assert not surroundings.drawn(later)
    assert not surroundings.changed(later)
    assert not surroundings.hooked(later)
    assert same(model, before)
    assert [m.training for m in model.modules()] == flags
    assert [m.training for m in unlearned.modules()] == flags
    assert all(weight.grad is None for weight in [*model.parameters(), *unlearned.parameters()])
    assert all(weight.requires_grad for weight in unlearned.parameters())
    for name, pair in parts.items():
        assert all(map(torch.equal, pair, held[name]))
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())
    assert not list(recwarn)


def test_it_works_where_gradients_are_off():
    model, parts, _ = own_parts()
    with torch.no_grad():
        assert not same(erasure.unlearn(model, **parts, method="finetune", **short()), model)
        assert not torch.is_grad_enabled()


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


def test_a_method_is_a_name_a_class_or_an_object():
    model, parts, _ = own_parts()
    fit = Fit(optimizer=sgd, epochs=1, batch_size=32)
    call = partial(erasure.unlearn, model, **parts)
    named = call(method="finetune", fit=fit)
    assert same(named, call(method=Finetune, fit=fit))
    assert same(named, call(method=Finetune(fit=fit)))
    assert same(
        named, call(method=Finetune(fit=Fit(optimizer=sgd, epochs=9, batch_size=1)), fit=fit)
    )


@pytest.mark.slow
def test_the_batch_size_is_that_of_all_loops():
    model, parts, _ = own_parts()
    call = partial(erasure.unlearn, model, **parts, method="cascade")
    wanted = {"batch_size": 50}
    steps = {"impair": {"fit": wanted}, "repair": {"fit": wanted}}
    assert same(call(batch_size=50), call(steps=steps))
    assert not same(call(batch_size=50), call())
    with pytest.raises(ConfigError, match=r"sham\.batch_size is not a setting"):
        erasure.unlearn(model, **parts, method="sham", batch_size=3)
    with pytest.raises(ConfigError, match="batch_size must be >= 1, got 0"):
        call(batch_size=0)


@dataclass(frozen=True)
class Broken:
    """A method that returns what is no model, or what diverged."""

    value: float

    def __call__(self, task):
        with torch.no_grad():
            next(task.model.parameters()).fill_(self.value)
        return task.model


WRONG = [
    ({"method": "scurb"}, "there is no unlearner 'scurb'; did you mean scrub?"),
    ({"alhpa": 1.0}, "did you mean scrub.alpha?"),
    ({"alpha": "much"}, "scrub.alpha must be a number, got 'much'"),
    ({"msteps": -1}, "scrub.msteps must be >= 0, got -1"),
    ({"fit": {"epoch": 3}}, "did you mean scrub.fit.epochs?"),
    ({"fit": {"optimizer": sgd}}, "make the whole of fit one"),
    ({"fit": sgd, "msteps": sgd}, "scrub.msteps must be a whole number"),
    ({"method": GradAscent, "stopp": "val"}, "did you mean GradAscent.stop?"),
    ({"method": GradAscent}, "GradAscent cannot be built"),
    ({"method": GradAscent, "fit": {"epochs": 1}}, "GradAscent.fit must be an object here"),
    ({"method": 3}, "method must be the name of an unlearner"),
    ({"method": Broken(float("nan"))}, "not finite"),
    ({"method": "finetune", "fit": {"epochs": 0}}, "no weight changed"),
    ({"method": "retrain", "trainer": "adma", "fresh": print}, "did you mean adam"),
    ({"method": "retrain", "trainer": "adam", "fresh": partial(nn.Linear, 2, 2)}, "fresh must"),
    ({"method": "retrain", "trainer": "adam", "fresh": list}, "fresh must"),
    ({"method": lambda task: None}, "function must return an nn.Module, got NoneType"),
    ({"device": "gpu"}, "device"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_what_is_wrong_is_told_in_one_message(arguments, message):
    model, parts, _ = own_parts()
    with pytest.raises(ErasureError) as caught:
        erasure.unlearn(model, **parts, **arguments)
    assert message in str(caught.value)


def test_a_method_without_effect_is_no_result():
    model, parts, _ = own_parts()
    with pytest.raises(NoOpError):
        erasure.unlearn(model, **parts, method="finetune", fit={"optimizer": {"lr": 0.0}})
