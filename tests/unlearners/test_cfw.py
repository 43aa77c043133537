"""CFW against a plain loop written from its description."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight

from erasure.core.errors import ConfigError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import branch, isolated, stream
from erasure.testing import toy_task
from erasure.unlearners.cfw import CFW, confuse
from erasure.unlearners.finetune import Finetune


def reference(task, layers, *, epochs, sigma=0.6, end=0.05):
    net, noise = task.model.train(), branch(task.generator, "cfw", "noise")
    labels = task.retain.targets.numpy()
    weights = torch.tensor(
        compute_class_weight("balanced", classes=np.arange(4), y=labels)
    ).float()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)

    def disturb(size):
        with torch.no_grad():
            for layer in layers(net):
                layer.weight += size * torch.randn(layer.weight.shape, generator=noise)

    disturb(sigma)
    for epoch in range(epochs):
        for batch in task.retain.batches(32, generator=task.generator):
            loss = F.cross_entropy(net(batch.inputs), batch.targets)
            optimizer.zero_grad()
            torch.mean(loss * weights[batch.targets]).backward()
            optimizer.step()
        if epoch == epochs - 2:
            disturb(end)
    return net


LAYERS = {
    "cnn": lambda net: [net.blocks[0]],
    "mlp": lambda net: [net.layers[1], net.layers[3]],
}


@pytest.mark.parametrize("model", ["mlp", "cnn"])
@pytest.mark.parametrize("epochs", [1, 3])
def test_it_is_the_algorithm_of_the_authors(fit, parameters, model, epochs):
    loop = fit(lr=0.02, momentum=0.9, epochs=epochs)
    ours = CFW(fit=loop, sigma_end=0.05)(toy_task(model))
    expected = reference(toy_task(model), LAYERS[model], epochs=epochs)
    assert (parameters(ours) - parameters(expected)).abs().max() < 1e-5
    wrong = reference(toy_task(model), LAYERS[model], epochs=epochs, sigma=0.3, end=0.0)
    assert (parameters(ours) - parameters(wrong)).abs().max() > 1e-3


def test_the_noise_has_the_size_that_is_asked_for():
    with isolated(0, "wide"):
        net = torch.nn.Sequential(torch.nn.Conv2d(16, 64, 3), torch.nn.Linear(4, 4))
    before = [p.detach().clone() for p in net.parameters()]
    confuse(net, 0.6, stream(0, "test"))
    moved = [(new - old).detach() for old, new in zip(before, net.parameters(), strict=True)]
    assert moved[0].std().item() == pytest.approx(0.6, rel=0.03)
    assert moved[0].mean().item() == pytest.approx(0.0, abs=0.02)
    assert all(not part.any() for part in moved[1:])


def test_balanced_labels_without_noise_are_finetuning(fit):
    """With as many samples of each label, every weight is one."""

    def balanced():
        task = toy_task()
        labels = torch.arange(176) % 4
        return replace(task, retain=task.retain.take(torch.arange(176)).relabel(labels))

    ours = CFW(fit=fit(), sigma=0.0, sigma_end=0.0)(balanced())
    assert model_fingerprint(ours) == model_fingerprint(Finetune(fit=fit())(balanced()))


def test_the_forget_set_is_not_read(fit):
    task = toy_task()
    CFW(fit=fit(epochs=3))(task)
    reads = task.forget.pool.reads
    assert (reads[task.retain.index] == 3).all()
    assert int(reads.sum()) == 3 * len(task.retain)


def test_several_labels(fit, multilabel_task):
    task = multilabel_task()
    before = model_fingerprint(task.model)
    model = CFW(fit=fit())(task)
    assert model_fingerprint(model) != before
    assert all(value.isfinite().all() for value in model.state_dict().values())


@pytest.mark.parametrize("name", ["sigma", "sigma_end"])
def test_settings_are_checked(fit, name):
    with pytest.raises(ConfigError, match=f"{name} must be >= 0, got -0.1"):
        CFW(fit=fit(), **{name: -0.1})
