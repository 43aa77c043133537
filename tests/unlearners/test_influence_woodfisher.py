"""Influence unlearning against a recursion in numpy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from erasure.core.errors import ConfigError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import stream
from erasure.testing import toy_task
from erasure.unlearners.influence_woodfisher import InfluenceWoodFisher

MODELS = pytest.mark.parametrize("model", ["mlp", "cnn"])


def slopes(task, ids):
    """Gradient of the loss of each sample, one at a time, ``(n, P)`` float64."""
    model, pool = task.model.eval(), task.forget.pool.pool
    rows = []
    for sample in ids:
        loss = F.cross_entropy(model(pool.fetch(sample[None])), pool.targets[sample[None]])
        result = torch.autograd.grad(loss, list(model.parameters()))
        rows.append(torch.cat([part.flatten() for part in result]).double().numpy())
    return np.stack(rows)


def reference(task, num):
    """The direction of the step, by the recursion as it is written down."""
    n_f, n_r = len(task.forget), len(task.retain)
    n = n_f + n_r
    g_f, g_r = slopes(task, task.forget.index).sum(0), slopes(task, task.retain.index).sum(0)
    k = g_f / n - g_r * n_f / (n * n_r)
    order = torch.randperm(n_r, generator=stream(0, "unlearn"))[: num + 1]
    drawn = slopes(task, task.retain.index[order])
    o = drawn[0].copy()
    for g in drawn[1:]:
        t = o @ g
        k = k - (k @ g) / (num + t) * o
        o = o - t / (num + t) * o
    return k


def run(task, **settings):
    start = torch.nn.utils.parameters_to_vector(task.model.parameters()).detach().double()
    curve = []
    task = replace(task, report=lambda step, of, **values: curve.append(values))
    after = InfluenceWoodFisher(**settings)(task)
    end = torch.nn.utils.parameters_to_vector(after.parameters()).detach().double()
    return (end - start).numpy(), curve[0]


@MODELS
@pytest.mark.parametrize("num", [3, 1000])
def test_it_is_the_recursion_in_numpy(model, num):
    expected = reference(toy_task(model), num)
    result, curve = run(toy_task(model), alpha=2.0, samples=num)
    assert np.linalg.norm(result - 2.0 * expected) < 1e-5 * np.linalg.norm(2.0 * expected) + 1e-6
    assert curve["step_norm"] == pytest.approx(np.linalg.norm(2.0 * expected), rel=1e-5)
    assert curve["uncapped_norm"] == curve["step_norm"]


def test_the_recursion_itself_is_in_double_precision():
    """From the same float32 gradients, a thousand updates agree to 1e-12."""
    task, gradients = toy_task(), []
    method = InfluenceWoodFisher(samples=100)

    from erasure.training.per_sample.gradients import sample_gradients

    for chunk in sample_gradients(task.model, task.retain, task.loss):
        gradients += chunk.double().numpy().tolist()
    start = torch.linspace(-1, 1, len(gradients[0]), dtype=torch.float64)
    k, o = start.numpy().copy(), np.array(gradients[0])
    for g in map(np.array, gradients[1:]):
        t = o @ g
        k, o = k - (k @ g) / (100 + t) * o, o - t / (100 + t) * o
    result = method._recursion(task, task.retain, start).numpy()
    assert np.linalg.norm(result - k) < 1e-12 * np.linalg.norm(k)
    assert np.linalg.norm(k - start.numpy()) > 1e-6


@MODELS
def test_a_scale_of_zero_is_the_identity(model):
    task = toy_task(model)
    before = model_fingerprint(task.model)
    assert model_fingerprint(InfluenceWoodFisher(alpha=0.0)(task)) == before


def test_without_a_forget_set_it_is_the_identity():
    task = toy_task()
    before = model_fingerprint(task.model)
    nothing = task.forget.take(torch.arange(0))
    assert model_fingerprint(InfluenceWoodFisher()(replace(task, forget=nothing))) == before


def test_the_trust_region_shortens_the_step_and_keeps_its_direction():
    free, wide = run(toy_task(), alpha=100.0)
    capped, short = run(toy_task(), alpha=100.0, max_norm=0.01)
    assert np.linalg.norm(capped) == pytest.approx(0.01, rel=1e-3)
    assert short["step_norm"] == pytest.approx(0.01)
    assert short["uncapped_norm"] == wide["step_norm"] > 0.01
    cosine = capped @ free / np.linalg.norm(capped) / np.linalg.norm(free)
    assert cosine == pytest.approx(1.0, abs=1e-4)
    loose, _ = run(toy_task(), alpha=100.0, max_norm=1e6)
    assert np.array_equal(loose, free)


def test_the_step_is_proportional_to_alpha():
    once, _ = run(toy_task(), alpha=1.0)
    twice, _ = run(toy_task(), alpha=2.0)
    assert np.linalg.norm(twice - 2 * once) < 1e-4 * np.linalg.norm(twice)


def test_it_raises_the_loss_of_the_forget_set():
    task = toy_task()

    def loss(model):
        inputs = task.forget.pool.pool.fetch(task.forget.index)
        return F.cross_entropy(model(inputs), task.forget.targets).item()

    assert loss(InfluenceWoodFisher(alpha=50.0)(toy_task())) > 1.5 * loss(task.model)


@MODELS
def test_reads_and_buffers(model):
    """Forget once, retain once, and the first eleven of a random order a second time."""
    task = toy_task(model)
    buffers = [b.clone() for b in task.model.buffers()]
    after = InfluenceWoodFisher(samples=10)(task)
    reads = task.forget.pool.reads
    assert (reads[task.forget.index] == 1).all()
    assert sorted(set(reads[task.retain.index].tolist())) == [1, 2]
    assert int(reads[task.retain.index].sum()) == 177 + 11
    assert all(a.equal(b) for a, b in zip(buffers, after.buffers(), strict=True))


def test_what_is_remembered_does_not_depend_on_alpha():
    seen = []

    def cached(name, view, compute, **settings):
        seen[-1].append((name, view.index.tolist(), settings))
        return compute()

    for alpha in (1.0, 5.0):
        seen.append([])
        InfluenceWoodFisher(alpha=alpha)(replace(toy_task(), cached=cached))
    assert seen[0] == seen[1]
    assert [name for name, _, _ in seen[0]] == ["summed_gradients"] * 2 + ["woodfisher"]
    seen.append([])
    InfluenceWoodFisher()(replace(toy_task(num_forget=24), cached=cached))
    assert seen[2][2][2] != seen[0][2][2]


def test_it_works_with_many_labels(multilabel_task):
    task = multilabel_task()
    before = model_fingerprint(task.model)
    assert model_fingerprint(InfluenceWoodFisher()(task)) != before


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"alpha": -1.0}, "alpha must be >= 0, got -1.0"),
        ({"samples": 0}, "samples must be >= 1, got 0"),
        ({"max_norm": 0.0}, "max_norm must be > 0 or null, got 0.0"),
    ],
)
def test_settings_are_checked(setting, message):
    with pytest.raises(ConfigError, match=message):
        InfluenceWoodFisher(**setting)
