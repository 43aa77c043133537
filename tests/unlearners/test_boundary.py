"""Boundary shrink and expand: labels by an attack written out, and a head that comes back."""

from dataclasses import dataclass, replace

import pytest
import torch
import torch.nn.functional as F

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import stream
from erasure.core.splits import View
from erasure.data.pools.tensor import TensorPool
from erasure.testing import toy_task
from erasure.training.fit import Fit
from erasure.training.passes import shuffled
from erasure.unlearners.boundary_expand import BoundaryExpand
from erasure.unlearners.boundary_shrink import BoundaryShrink
from erasure.unlearners.grad_ascent import GradAscent

MODELS = pytest.mark.parametrize("model", ["mlp", "cnn"])


@dataclass(frozen=True, kw_only=True)
class TokenPool(TensorPool):
    def fetch(self, index, *, augment=None):
        return super().fetch(index, augment=augment).long()


def nearest(task, epsilon):
    """One step of the sign method for each sample by itself, in the range of the forget set."""
    net, inputs = task.model.eval(), task.forget.pool.pool.inputs[task.forget.index]
    labels = []
    for row, target in zip(inputs.split(1), task.forget.targets.split(1), strict=True):
        moving = row.clone().requires_grad_()
        (slope,) = torch.autograd.grad(F.cross_entropy(net(moving), target), moving)
        attacked = torch.clamp(row + epsilon * slope.sign(), inputs.min(), inputs.max())
        labels.append(net(attacked).argmax(dim=1))
    return torch.cat(labels)


@MODELS
def test_shrink_descends_under_the_labels_of_the_attacked_samples(fit, model):
    labels = nearest(toy_task(model), 0.4)
    task = toy_task(model)
    assert 0 < int((labels != task.forget.targets).sum()) < len(labels)
    batches = shuffled(task.forget.relabel(labels), 8, task.generator, augment=False)
    expected = fit(batch_size=8, epochs=3)(task.model, batches, task.objective)
    ours = BoundaryShrink(fit=fit(batch_size=8, epochs=3), epsilon=0.4)(toy_task(model))
    assert model_fingerprint(ours) == model_fingerprint(expected)


def test_shrink_reports_the_share_of_new_labels(fit):
    curve, task = [], toy_task()
    share = (nearest(toy_task(), 0.4) != task.forget.targets).double().mean().item()
    task = replace(task, report=lambda step, of, **values: curve.append(values["relabeled"]))
    BoundaryShrink(fit=fit(epochs=2), epsilon=0.4)(task)
    assert curve == [pytest.approx(share)] * 2


@MODELS
def test_an_attack_that_reaches_no_boundary_reinforces_the_forget_set(fit, parameters, model):
    """Where the network is right it keeps the label: gradient ascent with the sign turned."""

    def task():
        new = toy_task(model)
        right = new.model.eval()(new.forget.pool.pool.fetch(new.forget.index)).argmax(dim=1)
        return replace(new, forget=new.forget.relabel(right))

    before = parameters(task().model)
    shrunk = BoundaryShrink(fit=fit(lr=0.01, epochs=1), epsilon=1e-6)(task())
    ascended = GradAscent(fit=fit(lr=0.01, epochs=1))(task())
    step, opposite = parameters(shrunk) - before, parameters(ascended) - before
    assert torch.allclose(step, -opposite, rtol=0, atol=1e-6)
    assert step.abs().max() > 1e-4


def test_the_labels_are_computed_once_and_remembered_by_epsilon(fit):
    asked, made = [], []

    def cached(name, view, compute, **settings):
        asked.append((name, settings))
        made.append(compute())
        return made[-1]

    task = toy_task()
    BoundaryShrink(fit=fit(epochs=5), epsilon=0.4)(replace(task, cached=cached))
    assert asked == [("input_range", {}), ("nearest_classes", {"epsilon": 0.4})]
    assert made[1]["labels"].equal(nearest(toy_task(), 0.4))
    reads = task.forget.pool.reads[task.forget.index].tolist()
    assert reads == [1 + 5 + 1 + 1] + [5 + 1 + 1] * 22  # one sample is looked at first


def test_the_labels_do_not_depend_on_the_batch_size():
    def labels(size):
        results = []

        def cached(name, view, compute, **settings):
            results.append(compute())
            return results[-1]

        loop = Fit(optimizer=torch.optim.SGD, epochs=0, batch_size=size)
        BoundaryShrink(fit=loop, epsilon=0.4)(replace(toy_task("cnn"), cached=cached))
        return results[-1]["labels"]

    assert labels(5).equal(labels(100))


def expanded(task):
    """Train a copy of the network with a head of five rows on the label 4, by hand."""
    net = task.model.train()
    (name, old) = [(n, m) for n, m in net.named_modules() if isinstance(m, torch.nn.Linear)][-1]
    drawn = stream(task.generator.initial_seed(), "boundary_expand", "row")
    bound = old.in_features**-0.5
    weight = torch.empty(1, old.in_features).uniform_(-bound, bound, generator=drawn)
    bias = torch.empty(1).uniform_(-bound, bound, generator=drawn)
    new = torch.nn.utils.skip_init(torch.nn.Linear, old.in_features, 5)
    with torch.no_grad():
        new.weight.copy_(torch.cat([old.weight, weight]))
        new.bias.copy_(torch.cat([old.bias, bias]))
    net.set_submodule(name, new)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    for _ in range(2):
        for batch in task.forget.batches(8, generator=task.generator):
            optimizer.zero_grad()
            F.cross_entropy(net(batch.inputs), torch.full((len(batch.ids),), 4)).backward()
            optimizer.step()
    return net, new


@MODELS
def test_expand_is_training_with_a_larger_head_that_is_cut_back(fit, model):
    ours = BoundaryExpand(fit=fit(batch_size=8))(toy_task(model))
    wide, linear = expanded(toy_task(model))
    head = [m for m in ours.modules() if isinstance(m, torch.nn.Linear)][-1]
    assert (head.out_features, tuple(head.weight.shape), tuple(head.bias.shape)) == (
        4,
        (4, linear.in_features),
        (4,),
    )
    expected = wide.state_dict()
    for name, value in ours.state_dict().items():
        rows = expected[name][: len(value)] if value.ndim else expected[name]
        assert torch.allclose(value, rows, rtol=0, atol=1e-6), name


@MODELS
def test_without_epochs_the_head_is_what_it_was(fit, model):
    before = model_fingerprint(toy_task(model).model)
    assert model_fingerprint(BoundaryExpand(fit=fit(epochs=0))(toy_task(model))) == before


def test_the_head_is_cut_back_when_training_fails(fit):
    task = toy_task()

    def report(step, of, **values):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        BoundaryExpand(fit=fit())(replace(task, report=report))
    head = [m for m in task.model.modules() if isinstance(m, torch.nn.Linear)][-1]
    assert (head.out_features, len(head.weight), len(head.bias)) == (4, 4, 4)


def test_expanding_moves_probability_away_from_the_true_class(fit):
    task = toy_task()
    inputs, targets = task.forget.pool.fetch(task.forget.index), task.forget.targets
    before = F.cross_entropy(task.model(inputs), targets)
    after = F.cross_entropy(BoundaryExpand(fit=fit(lr=0.1, epochs=10))(task)(inputs), targets)
    assert after > 2 * before


@pytest.mark.parametrize("method", [BoundaryShrink, BoundaryExpand])
def test_several_labels_per_sample_are_refused(fit, multilabel_task, method):
    with pytest.raises(UnsupportedError, match="one class per sample"):
        method(fit=fit())(multilabel_task())


def test_shrink_refuses_inputs_it_cannot_attack(fit):
    task = toy_task()
    pool = task.forget.pool.pool
    tokens = TokenPool(inputs=pool.inputs, targets=pool.targets, class_names=pool.class_names)
    with pytest.raises(UnsupportedError, match=r"boundary_shrink changes inputs.*random_labels"):
        BoundaryShrink(fit=fit())(replace(task, forget=View(tokens, task.forget.index)))


def test_expand_refuses_a_head_of_another_size(fit):
    task = toy_task()
    with pytest.raises(UnsupportedError, match=r"has 4 outputs for 5 classes.*boundary_shrink"):
        BoundaryExpand(fit=fit())(replace(task, num_classes=5))


def test_epsilon_is_checked(fit):
    with pytest.raises(ConfigError, match=r"epsilon must be > 0, got 0"):
        BoundaryShrink(fit=fit(), epsilon=0)
