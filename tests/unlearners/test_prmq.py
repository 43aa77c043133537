"""PRMQ against torch's own pruning and a plain loop."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch.nn.utils import prune

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import branch, isolated, stream
from erasure.testing import toy_task
from erasure.unlearners.prmq import PRMQ, prune_and_draw

MODELS = pytest.mark.parametrize("model", ["mlp", "cnn"])


def linear(net):
    kinds = (torch.nn.Conv2d, torch.nn.Linear)
    return [module for module in net.modules() if isinstance(module, kinds)]


def pruned_by_torch(net, amount):
    net = copy.deepcopy(net)
    modules = [(m, name) for m in linear(net) for name, _ in m.named_parameters(recurse=False)]
    prune.global_unstructured(modules, pruning_method=prune.L1Unstructured, amount=amount)
    for module, name in modules:
        prune.remove(module, name)
    return net


@MODELS
@pytest.mark.parametrize("amount", [0.0, 0.5, 0.9, 0.99])
def test_what_is_pruned_is_what_torch_prunes(model, amount):
    net = toy_task(model).model
    expected = pruned_by_torch(net, amount)
    before = copy.deepcopy(net)
    prune_and_draw(net, amount, stream(0, "test"))
    total = 0
    for ours, theirs, old in zip(linear(net), linear(expected), linear(before), strict=True):
        gone = (theirs.weight == 0) & (old.weight != 0)
        assert ours.weight[~gone].equal(old.weight[~gone])
        reach = ours.weight[0].numel() ** -0.5
        assert (ours.weight[gone].abs() <= reach).all()
        assert not (ours.weight[gone] == 0).any()
        total += int(gone.sum())
        if ours.bias is not None:
            assert ours.bias.equal(theirs.bias)
            total += int((theirs.bias != old.bias).sum())
    size = sum(p.numel() for m in linear(before) for p in m.parameters())
    assert total == round(amount * size)


def test_norms_are_not_pruned():
    net = toy_task("cnn").model
    before = copy.deepcopy(net.blocks[1].state_dict())
    prune_and_draw(net, 0.99, stream(0, "test"))
    assert all(value.equal(before[name]) for name, value in net.blocks[1].state_dict().items())


def test_drawn_weights_are_uniform():
    with isolated(0, "wide"):
        net = torch.nn.Linear(100, 400)
    prune_and_draw(net, 0.999, stream(0, "test"))
    drawn = net.weight.detach().flatten()
    assert drawn.mean().abs().item() < 0.001
    assert drawn.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.02)


def reference(task, amount, passes):
    net, teacher = task.model, copy.deepcopy(task.model).eval()
    prune_and_draw(net, amount, branch(task.generator, "prmq", "weights"))
    counts = torch.bincount(task.retain.targets)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9, weight_decay=0.01)
    steps, most = 0, int(passes * task.retain.num_batches(32))

    def entropy(logits):
        p = logits.softmax(dim=1)
        return -(p * p.log()).sum(dim=1)

    net.train()
    while steps <= most:
        for batch in task.retain.batches(32, generator=task.generator):
            logits = net(batch.inputs)
            loss = F.cross_entropy(logits, batch.targets, weight=counts.float() ** -0.1)
            loss = loss + F.mse_loss(entropy(logits), entropy(teacher(batch.inputs)).detach())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
            if steps > most:
                break
    return net.half().float()


@MODELS
def test_it_is_the_algorithm_of_the_authors(fit, parameters, model):
    """Up to one rounding to half precision, 11 bits."""
    loop = fit(lr=0.02, momentum=0.9, weight_decay=0.01, epochs=2)
    ours = parameters(PRMQ(fit=loop, amount=0.9, tail=0.4)(toy_task(model)))
    expected = parameters(reference(toy_task(model), 0.9, 2.4))
    assert torch.allclose(ours, expected, rtol=2**-10, atol=1e-6)


@pytest.mark.parametrize(("epochs", "tail", "steps"), [(3, 0.2, 20), (0, 0.0, 1), (1, 0.9, 12)])
def test_the_number_of_steps(fit, epochs, tail, steps):
    """177 samples in batches of 32 are 6 steps; the run stops after ``int(passes * 6) + 1``."""
    taken = []

    class Counting(torch.optim.SGD):
        def step(self, closure=None):
            taken.append(1)
            return super().step(closure)

    PRMQ(fit=fit(Counting, epochs=epochs), tail=tail)(toy_task())
    assert len(taken) == int((epochs + tail) * 6) + 1 == steps


@MODELS
def test_it_ends_on_numbers_of_half_precision(fit, model):
    for name, value in PRMQ(fit=fit())(toy_task(model)).state_dict().items():
        if value.is_floating_point():
            assert value.dtype == torch.float32, name
            assert value.equal(value.half().float()), name


def test_the_forget_set_is_not_read(fit):
    task = toy_task()
    PRMQ(fit=fit(epochs=1), tail=0.5)(task)
    reads = task.forget.pool.reads
    assert int(reads.sum()) == int(reads[task.retain.index].sum()) >= len(task.retain)


def test_several_labels(fit, multilabel_task):
    task = multilabel_task()
    before = model_fingerprint(task.model)
    model = PRMQ(fit=fit())(task)
    assert model_fingerprint(model) != before
    assert all(value.isfinite().all() for value in model.state_dict().values())


@pytest.mark.parametrize("name", ["amount", "tail"])
def test_settings_are_checked(fit, name):
    with pytest.raises(ConfigError, match=rf"{name} must be in \[0, 1\), got 1.0"):
        PRMQ(fit=fit(), **{name: 1.0})


def test_a_model_without_linear_maps_is_refused(fit):
    with pytest.raises(UnsupportedError, match=r"prmq needs .*use unlearner=finetune"):
        PRMQ(fit=fit())(replace(toy_task(), model=torch.nn.BatchNorm1d(4)))
