"""FCS against a plain loop written from its description."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from erasure.core.errors import ConfigError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.pool import Batch
from erasure.core.seeding import branch
from erasure.testing import toy_task
from erasure.unlearners.fcs import FCS


def method(fit, /, **changes):
    settings = {
        "flatten": fit(lr=0.02, epochs=1, batch_size=8),
        "contrast": fit(lr=0.01, momentum=0.9, epochs=1, batch_size=8),
        "repair": fit(lr=0.03, weight_decay=0.01, epochs=1, batch_size=64),
        "rounds": 2,
    }
    return FCS(**(settings | changes))


def reference(task, temperature=1.15):
    net = task.model.train()
    first = torch.optim.SGD(net.parameters(), lr=0.02)
    apart = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    mend = torch.optim.SGD(net.parameters(), lr=0.03, weight_decay=0.01)

    def step(optimizer, loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for batch in task.forget.batches(8, generator=branch(task.generator, "fcs", "flatten")):
        logits = net(batch.inputs)
        uniform = torch.full_like(logits, 0.25)
        loss = F.kl_div(F.log_softmax(logits, dim=1), uniform, reduction="batchmean")
        step(first, loss)
    contrast = branch(task.generator, "fcs", "contrast")
    others = branch(contrast, "paired", "other")
    for _ in range(2):
        pairs = zip(
            task.forget.batches(8, generator=contrast),
            task.retain.batches(64, generator=others),
            strict=False,
        )
        for forget, retain in pairs:
            logits, known = net(forget.inputs), net(retain.inputs).detach()
            table = torch.stack([(row * known).sum(dim=1) for row in logits]) / temperature
            step(apart, -(table - table.logsumexp(dim=1, keepdim=True)).mean())
        for batch in task.retain.batches(64, generator=task.generator):
            step(mend, F.cross_entropy(net(batch.inputs), batch.targets))
    return net


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_it_is_the_algorithm_of_the_authors(fit, parameters, model):
    ours, expected = method(fit)(toy_task(model)), reference(toy_task(model))
    assert (parameters(ours) - parameters(expected)).abs().max() < 1e-5
    wrong = reference(toy_task(model), temperature=3.0)
    assert (parameters(ours) - parameters(wrong)).abs().max() > 1e-4


def test_the_contrast_by_hand(fit):
    """Logits (1, 0) against (log 3, 5) and (0, 5): products log 3, 0, softmax 3/4 and 1/4.

    The mean of -log 3/4 and -log 1/4 is log(16 / 3) / 2.
    """

    def given(inputs):
        return inputs

    forget = Batch(torch.tensor([[1.0, 0.0]]), torch.zeros(1), torch.zeros(1))
    rows = torch.tensor([[torch.tensor(3.0).log(), 5.0], [0.0, 5.0]])
    retain = Batch(rows, torch.zeros(2), torch.zeros(2))
    result = method(fit, temperature=1.0)._contrast(given, (forget, retain))
    assert result.item() == pytest.approx(0.836988, abs=1e-5)


def test_passes(fit):
    """23 forget samples are three pairs of up to 64 retain samples in each of two rounds."""
    task = toy_task()
    method(fit)(task)
    reads = task.forget.pool.reads
    assert (reads[task.forget.index] == 1 + 2).all()
    assert int(reads[task.retain.index].sum()) == 2 * (177 + 177)


def test_labels_of_the_forget_set_are_not_used(fit):
    task = toy_task()
    other = replace(task, forget=task.forget.relabel((task.forget.targets + 1) % 4))
    assert model_fingerprint(method(fit)(other)) == model_fingerprint(method(fit)(toy_task()))


def test_no_round_leaves_the_flattening_alone(fit, parameters):
    task = toy_task()
    model = method(fit, rounds=0, flatten=fit(lr=0.5, epochs=20, batch_size=64))(task)
    logits = model.eval()(task.forget.pool.pool.fetch(task.forget.index))
    assert (logits.softmax(dim=1) - 0.25).abs().max() < 0.1


def test_several_labels(fit, multilabel_task):
    task = multilabel_task()
    before = model_fingerprint(task.model)
    model = method(fit)(task)
    assert model_fingerprint(model) != before
    assert all(value.isfinite().all() for value in model.state_dict().values())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"rounds": -1}, "rounds must be >= 0, got -1"),
        ({"temperature": 0.0}, "temperature must be > 0, got 0.0"),
    ],
)
def test_settings_are_checked(fit, setting, message):
    with pytest.raises(ConfigError, match=message):
        method(fit, **setting)
