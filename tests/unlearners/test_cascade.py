from dataclasses import dataclass, replace

import pytest

from erasure.core.errors import ConfigError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import stream
from erasure.testing import toy_task
from erasure.unlearners.cascade import Cascade
from erasure.unlearners.finetune import Finetune
from erasure.unlearners.grad_ascent import GradAscent
from erasure.unlearners.identity import Identity
from erasure.unlearners.neggrad_plus import NegGradPlus
from erasure.unlearners.scrub import Scrub

MODELS = pytest.mark.parametrize("model", ["mlp", "cnn"])


@dataclass(frozen=True)
class Peek:
    """Keeps the task it is given and changes nothing."""

    seen: list

    def __call__(self, task):
        self.seen.append(task)
        return task.model


@MODELS
@pytest.mark.parametrize("names", ["x", "ix", "xi", "iixi"])
@pytest.mark.parametrize("method", [Finetune, NegGradPlus, Scrub])
def test_with_identity_a_method_is_itself(fit, model, names, method):
    one = method(fit=fit())
    steps = {str(n): one if kind == "x" else Identity() for n, kind in enumerate(names)}
    alone = one(toy_task(model))
    assert model_fingerprint(Cascade(steps=steps)(toy_task(model))) == model_fingerprint(alone)


@MODELS
def test_each_step_works_on_what_the_one_before_returned(fit, model):
    ascend, tune = GradAscent(fit=fit(lr=0.01)), Finetune(fit=fit(epochs=3))
    task = toy_task(model)
    seed = task.generator.initial_seed()
    halfway = ascend(task)
    by_hand = tune(replace(task, model=halfway, generator=stream(seed, "cascade", "repair")))
    ours = Cascade(steps={"impair": ascend, "repair": tune})(toy_task(model))
    assert model_fingerprint(ours) == model_fingerprint(by_hand)


def test_the_same_method_twice_visits_the_data_in_another_order(fit, parameters):
    once = Finetune(fit=fit(epochs=1))
    in_order = once(replace(toy_task(), model=once(toy_task())))
    ours = Cascade(steps={"first": once, "second": once})(toy_task())
    assert not parameters(ours).equal(parameters(in_order))


def test_a_later_step_does_not_take_what_was_remembered_for_the_original(fit):
    def remembered(name, view, compute, **settings):
        raise AssertionError("this is about the original model")

    seen = []
    task = replace(toy_task(), cached=remembered)
    Cascade(steps={"no": Identity(), "a": Peek(seen), "b": Peek(seen)})(task)
    first, second = seen
    assert first.cached is remembered
    assert first.generator is task.generator
    assert second.cached("x", task.forget, lambda: {"y": 1}) == {"y": 1}
    assert second.generator is not task.generator
    for name in ("forget", "retain", "val", "task_type", "fresh", "train"):
        assert getattr(second, name) is getattr(task, name)


def test_curves_are_called_after_their_step(fit):
    curve = []
    task = replace(toy_task(), report=lambda step, of, **values: curve.append((step, of, *values)))
    steps = {"impair": GradAscent(fit=fit(epochs=1, lr=0.01)), "repair": Finetune(fit=fit())}
    Cascade(steps=steps)(task)
    assert curve == [(1, 1, "impair_loss"), (1, 2, "repair_loss"), (2, 2, "repair_loss")]


def test_without_steps_it_is_refused():
    with pytest.raises(ConfigError, match="steps must hold at least one method"):
        Cascade(steps={})
