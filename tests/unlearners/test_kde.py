"""KDE against a plain loop written from its description."""

import copy

import pytest
import torch
import torch.nn.functional as F

from erasure.core.errors import ConfigError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import branch
from erasure.testing import toy_task
from erasure.unlearners.kde import KDE

ENDS = {"cnn": ("blocks.0", "head.3"), "mlp": ("layers.1", "layers.3")}
MODELS = pytest.mark.parametrize("model", ["mlp", "cnn"])


def method(fit, /, **changes):
    settings = {"fit": fit(lr=0.02, momentum=0.9), "warmup": fit(lr=0.03, epochs=1, batch_size=16)}
    return KDE(**(settings | changes))


def reference(task, model, temperature=5.0, twice=True):
    net, teacher = task.model, copy.deepcopy(task.model).eval()
    fresh = task.fresh(f"kde {task.generator.initial_seed()}")
    for name in ENDS[model]:
        net.get_submodule(name).load_state_dict(fresh.get_submodule(name).state_dict())
    net.train()

    def apart(logits, taught):
        log_q = F.log_softmax(logits / temperature, dim=1)
        return F.kl_div(log_q, (taught / temperature).softmax(dim=1), reduction="batchmean")

    def run(optimizer, batches, follow):
        for batch in batches:
            logits, taught = net(batch.inputs), teacher(batch.inputs).detach()
            loss = (1 + (follow and twice)) * apart(logits, taught)
            if follow:
                loss = loss + F.cross_entropy(logits, batch.targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    aside = branch(task.generator, "kde", "warmup")
    first = torch.optim.SGD(net.parameters(), lr=0.03)
    run(first, task.val.batches(16, generator=aside), follow=False)
    second = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
    for _ in range(2):
        run(second, task.retain.batches(32, generator=task.generator), follow=True)
    return net


@MODELS
def test_it_is_the_algorithm_of_the_authors(fit, parameters, model):
    """Cross-entropy against the teacher has the gradient of the divergence, which counts twice."""
    ours = parameters(method(fit)(toy_task(model)))
    assert (ours - parameters(reference(toy_task(model), model))).abs().max() < 1e-5
    wrong = reference(toy_task(model), model, twice=False)
    assert (ours - parameters(wrong)).abs().max() > 1e-4


@MODELS
def test_first_layer_and_head_are_reset_and_nothing_else(fit, model):
    task = toy_task(model)
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    after = method(fit, fit=fit(epochs=0), warmup=fit(epochs=0))(task).state_dict()
    moved = {name for name in before if not after[name].equal(before[name])}
    expected = {name for name in before if name.rpartition(".")[0] in ENDS[model]}
    assert moved == expected
    trained = toy_task(model).fresh().state_dict()
    assert all(not after[name].equal(trained[name]) for name in moved)


def test_it_reads_validation_and_retain_only(fit):
    task = toy_task()
    method(fit)(task)
    reads = task.forget.pool.reads
    assert (reads[task.retain.index] == 2).all()
    assert (reads[task.val.index] == 1).all()
    assert int(reads.sum()) == 2 * len(task.retain) + len(task.val)


def test_another_seed_of_the_method_resets_to_other_weights(fit):
    none = {"fit": fit(epochs=0), "warmup": fit(epochs=0)}
    results = [method(fit, **none)(toy_task(seed=seed)) for seed in (0, 0, 1)]
    prints = [model_fingerprint(model) for model in results]
    assert prints[0] == prints[1] != prints[2]


def test_several_labels(fit, multilabel_task):
    task = multilabel_task()
    before = model_fingerprint(task.model)
    model = method(fit)(task)
    assert model_fingerprint(model) != before
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_settings_are_checked(fit):
    with pytest.raises(ConfigError, match="temperature must be > 0, got 0"):
        method(fit, temperature=0)
