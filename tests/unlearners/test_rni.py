"""RNI: which tensors move, which get noise, and when."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from erasure.core.errors import ConfigError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import isolated
from erasure.testing import toy_task
from erasure.training.schedules import Cosine
from erasure.unlearners.rni import RNI, plain_names


def method(fit, /, **changes):
    settings = {"fit": fit(epochs=3), "fine": fit(epochs=1)}
    return RNI(**(settings | changes))


def deep():
    """Twelve plain tensors, and four of norms that are called something else."""
    with isolated(0, "deep"):
        layers = [nn.Linear(36, 8), nn.BatchNorm1d(8), nn.Linear(8, 8), nn.LayerNorm(8)]
        layers += [nn.Linear(8, 8) for _ in range(3)]
        return nn.Sequential(nn.Flatten(), *layers, nn.Linear(8, 4))


def watched(fit, *, epochs, lr=0.0, fine=0, **changes):
    """Return the parameters before the first epoch, after every epoch, and the method's picks."""
    states = []

    def report(step, of, **values):
        states.append({n: p.detach().clone() for n, p in model.named_parameters()})

    model = deep()
    loop = fit(epochs=epochs, lr=lr, weight_decay=0.1)  # also moves what has no gradient
    task = replace(toy_task(), model=model, report=report, fresh=lambda salt="": deep())
    method(fit, fit=loop, fine=replace(loop, epochs=fine), **changes)(task)
    return states


def moved(before, after):
    return {name for name in before if not after[name].equal(before[name])}


def test_norms_are_known_by_type_and_the_rest_are_plain():
    names = plain_names(deep())
    assert len(names) == 12
    assert not any(name.startswith(("2.", "4.")) for name in names)


def test_an_epoch_moves_the_picked_tensors_and_all_norms(fit):
    states = watched(fit, epochs=5, lr=0.1, noise=0.0, tensors=5)
    picks = []
    for before, after in pairwise(states):
        changed = moved(before, after)
        norms = {name for name in changed if name.startswith(("2.", "4."))}
        assert len(norms) == 4
        assert len(changed - norms) == 5
        picks.append(changed - norms)
    assert len(set(map(frozenset, picks))) > 1


def test_noise_comes_from_the_second_epoch_on_and_only_to_what_was_never_picked(fit):
    """At a rate of zero whatever moves is noise; 12 tensors, 4 per epoch, int(0.5 * 4) = 2."""
    states = watched(fit, epochs=6, fine=2, tensors=4, share=0.5, noise=0.1)
    start = {name: p.detach() for name, p in deep().named_parameters()}
    assert moved(start, states[0]) <= {"8.weight", "8.bias"}  # the head
    steps = [set(), *(moved(before, after) for before, after in pairwise(states))]
    assert all(len(step) <= 2 for step in steps)
    assert any(steps)
    disturbed = [name for step in steps for name in step]
    assert len(disturbed) == len(set(disturbed))  # a second time it has been picked before
    assert not any(name.startswith(("2.", "4.")) for name in disturbed)
    assert steps[6:] == [set(), set()]


def test_noise_has_its_size(fit):
    states = watched(fit, epochs=2, tensors=4, share=1.0, noise=0.5)
    name = max(moved(*states), key=lambda n: states[0][n].numel())
    change = (states[1][name] - states[0][name]).flatten()
    assert change.std().item() == pytest.approx(0.5, rel=0.4)


def test_a_network_of_nine_tensors_gets_no_noise(fit):
    for model in ("mlp", "cnn"):
        quiet = method(fit, noise=0.0)(toy_task(model))
        noisy = method(fit, noise=0.5)(toy_task(model))
        assert model_fingerprint(quiet) == model_fingerprint(noisy)


def test_the_head_is_reset(fit):
    task = toy_task("cnn")
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    after = method(fit, fit=fit(epochs=0), fine=fit(epochs=0))(task).state_dict()
    assert moved(before, after) == {"head.3.weight", "head.3.bias"}


def test_every_epoch_has_an_optimizer_of_its_own_and_the_last_another_rate(fit):
    rates, owners = [], []

    class Recording(torch.optim.SGD):
        def step(self, closure=None):
            rates.append(self.param_groups[0]["lr"])
            owners.append(self)
            return super().step(closure)

    fits = {"fit": fit(Recording, lr=0.1, epochs=2, batch_size=200)}
    fits["fine"] = fit(Recording, lr=0.01, epochs=2, batch_size=200)
    method(fit, **fits)(toy_task())
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.05])
    assert len({id(owner) for owner in owners}) == 4


def test_the_forget_set_is_not_read(fit):
    task = toy_task()
    method(fit)(task)
    reads = task.forget.pool.reads
    assert (reads[task.retain.index] == 4).all()
    assert int(reads.sum()) == 4 * len(task.retain)


def test_several_labels(fit, multilabel_task):
    task = multilabel_task()
    before = model_fingerprint(task.model)
    model = method(fit)(task)
    assert model_fingerprint(model) != before
    assert all(value.isfinite().all() for value in model.state_dict().values())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"noise": -1.0}, "noise must be >= 0, got -1.0"),
        ({"tensors": 0}, "tensors must be >= 1, got 0"),
        ({"share": 1.5}, r"share must be in \[0, 1\], got 1.5"),
        ({"last": 0.0}, "last must be > 0, got 0.0"),
    ],
)
def test_settings_are_checked(fit, setting, message):
    with pytest.raises(ConfigError, match=message):
        method(fit, **setting)


@pytest.mark.parametrize("name", ["fit", "fine"])
def test_a_schedule_is_refused(fit, name):
    with pytest.raises(ConfigError, match=rf"{name}\.schedule must be null"):
        method(fit, **{name: replace(fit(), schedule=Cosine())})
