"""Rewinding SCRUB: every epoch is kept, and the right one returned."""

from dataclasses import replace

import pytest
import torch

from erasure.core.errors import UnsupportedError
from erasure.core.fingerprint import model_fingerprint
from erasure.testing import toy_task
from erasure.unlearners import scrub_r as module
from erasure.unlearners.scrub import Scrub
from erasure.unlearners.scrub_r import ScrubR

MODELS = pytest.mark.parametrize("model", ["mlp", "cnn"])


def error(net, view):
    pool = view.pool.pool
    wrong = net.eval()(pool.fetch(view.index)).argmax(dim=1) != pool.targets[view.index]
    return wrong.double().mean().item()


@pytest.fixture
def rewound(monkeypatch, fit):
    """Run with made-up errors: of forget by epoch, and of the last model on unseen data."""

    def run(forget_errors, target):
        task = toy_task()
        states, result = [], iter(forget_errors)

        def accuracy(model, view):
            if view is task.forget:
                states.append(model_fingerprint(model))
                return 1.0 - next(result)
            return 1.0 - target

        monkeypatch.setattr(module, "accuracy", accuracy)
        inner = Scrub(fit=fit(epochs=len(forget_errors) - 1))
        return states, model_fingerprint(ScrubR(scrub=inner)(task))

    return run


@pytest.mark.parametrize(
    ("errors", "target", "epoch"),
    [
        ([0.0, 0.2, 0.5, 0.9], 0.15, 1),
        ([0.0, 0.2, 0.5, 0.9], 1.0, 3),
        ([0.0, 0.9, 0.3, 0.9], 0.4, 2),
        ([0.0, 0.3, 0.5, 0.9], 0.1, 0),  # the original is the closest of all
        ([0.1, 0.9, 0.1, 0.9], 0.1, 2),  # a tie goes to the later epoch
    ],
)
def test_the_epoch_with_the_closest_error_is_returned(rewound, errors, target, epoch):
    states, chosen = rewound(errors, target)
    assert states[0] == model_fingerprint(toy_task().model)
    assert len(set(states)) == len(errors) == 4
    assert states.index(chosen) == epoch


@MODELS
def test_with_zero_epochs_the_original_is_all_there_is(fit, model):
    before = model_fingerprint(toy_task(model).model)
    assert model_fingerprint(ScrubR(scrub=Scrub(fit=fit(epochs=0)))(toy_task(model))) == before


@MODELS
def test_it_is_scrub_of_as_many_epochs(fit, model):
    """Every epoch of a longer run is the last one of a shorter run, buffers included."""
    settings = {"msteps": 2, "forget_batch_size": 4}

    def scrub(epochs):
        return Scrub(fit=fit(lr=0.1, epochs=epochs), **settings)

    shorter = [scrub(epochs)(toy_task(model)) for epochs in range(5)]
    task = toy_task(model)
    alike = task.val.take(torch.isin(task.val.targets, task.forget.targets))
    target = error(shorter[-1], alike)
    gaps = [abs(error(net, task.forget) - target) for net in shorter]
    best = max(epoch for epoch, gap in enumerate(gaps) if gap == pytest.approx(min(gaps)))
    ours = ScrubR(scrub=scrub(4))(task)
    assert model_fingerprint(ours) == model_fingerprint(shorter[best])


def test_the_target_is_of_validation_samples_with_labels_of_the_forget_set(fit):
    task = toy_task()
    of_one_class = task.forget.take(task.forget.targets == 2)
    ScrubR(scrub=Scrub(fit=fit(epochs=1)))(replace(task, forget=of_one_class))
    read = task.val.pool.reads[task.val.index] > 0
    assert read.equal(task.val.targets == 2)
    assert int(read.sum()) > 0


def test_the_error_of_every_epoch_is_reported(fit):
    curve = []
    task = replace(toy_task(), report=lambda step, of, **values: curve.append((step, of, values)))
    ScrubR(scrub=Scrub(fit=fit(epochs=2), msteps=1))(task)
    assert [entry[:2] for entry in curve] == [(1, 2), (2, 2)]
    assert set(curve[0][2]) == {"forget_divergence", "loss", "forget_error"}
    assert all(0.0 <= entry[2]["forget_error"] <= 1.0 for entry in curve)


def test_a_validation_set_without_such_samples_is_refused(fit):
    task = toy_task()
    forget = task.forget.take(task.forget.targets == 2)
    without = replace(task, forget=forget, val=task.val.take(task.val.targets != 2))
    with pytest.raises(UnsupportedError, match="use a larger validation set"):
        ScrubR(scrub=Scrub(fit=fit()))(without)


def test_sets_of_labels_are_compared_as_a_whole(fit, multilabel_task):
    task = multilabel_task()
    task = replace(task, forget=task.forget.take(torch.arange(4)))
    known = {tuple(row) for row in task.forget.targets.tolist()}
    shares = torch.tensor([tuple(row) in known for row in task.val.targets.tolist()])
    assert 0 < int(shares.sum()) < len(shares)
    ScrubR(scrub=Scrub(fit=fit()))(task)
    assert (task.val.pool.reads[task.val.index] > 0).equal(shares)
