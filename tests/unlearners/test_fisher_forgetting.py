"""Fisher forgetting: the Fisher diagonal by a loop, variances by hand, noise by its statistics."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import isolated, stream
from erasure.testing import toy_task
from erasure.unlearners.fisher_forgetting import FisherForgetting, whole_class

MODELS = pytest.mark.parametrize("model", ["mlp", "cnn"])


def fisher(task):
    """Mean over retain samples of sum_y p(y|x) (gradient of CE(x, y))^2, one at a time."""
    model, pool = task.model.eval(), task.retain.pool.pool
    total = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for sample in task.retain.index:
        logits = model(pool.fetch(sample[None]))
        for label, share in enumerate(logits.softmax(dim=1)[0].tolist()):
            loss = F.cross_entropy(logits, torch.tensor([label]))
            slopes = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
            for name, slope in zip(total, slopes, strict=True):
                total[name] += share * slope**2 / len(task.retain)
    return total


def variance(name, value, last, alpha):
    """The rule of the paper's code, written out once more."""
    of_head = name in last
    noise = (1 / (value + 1e-8)).clamp(max=1e3)
    if of_head:
        noise = noise.clamp(max=1e2)
    noise = alpha * noise
    if value.ndim > 1:
        noise = torch.ones_like(value) * noise.mean(dim=1, keepdim=True)
    return 10 * noise if of_head or value.ndim == 1 else noise


@MODELS
def test_it_is_the_noise_of_the_paper(model):
    reference = toy_task(model)
    known = fisher(reference)
    last = list(known)[-2:]
    result = FisherForgetting(alpha=1e-4)(toy_task(model))
    draw = reference.generator
    for name, old in reference.model.named_parameters():
        noise = torch.randn(old.shape, generator=draw)
        expected = old + variance(name, known[name], last, 1e-4).sqrt() * noise
        torch.testing.assert_close(result.get_parameter(name), expected, rtol=1e-4, atol=1e-6)


@MODELS
def test_a_scale_of_zero_is_the_identity(model):
    task = toy_task(model)
    before = model_fingerprint(task.model)
    assert model_fingerprint(FisherForgetting(alpha=0.0)(task)) == before


def test_variances_by_hand():
    """1 / (F + 1e-8) of 0, 1/500 and 1/4 is 1e8, 500 and 4; the clamps are 1000 and 100."""
    method = FisherForgetting(alpha=0.1)
    vector = torch.tensor([0.0, 1 / 500, 1 / 4])
    matrix = vector[None].expand(2, 3)
    assert method.variance(vector, of_head=False).tolist() == pytest.approx(
        [1000, 500, 4], rel=1e-4
    )
    assert method.variance(vector, of_head=True).tolist() == pytest.approx([100, 100, 4], rel=1e-4)
    mean, of_head = 0.1 * 1504 / 3, 0.1 * 10 * 204 / 3
    torch.testing.assert_close(
        method.variance(matrix, of_head=False), torch.full((2, 3), mean), rtol=1e-4, atol=0
    )
    torch.testing.assert_close(
        method.variance(matrix, of_head=True), torch.full((2, 3), of_head), rtol=1e-4, atol=0
    )


@pytest.mark.slow
def test_the_noise_has_the_variance_it_should():
    """Of 2,000 draws the sample variance is within 5 sqrt(2 / 2000) = 16 percent, on average 1."""
    remembered = {}

    def cached(name, view, compute, **settings):
        if name not in remembered:
            remembered[name] = compute()
        return remembered[name]

    draws = []
    untouched = toy_task()
    start = untouched.model.layers[1].bias.detach().clone()
    for seed in range(2000):
        model = copy.deepcopy(untouched.model)
        generator = stream(seed, "unlearn")
        task = replace(untouched, model=model, generator=generator, cached=cached)
        draws.append(FisherForgetting(alpha=1e-6)(task).layers[1].bias.detach() - start)
    bias = remembered["expected_fisher"]["layers.1.bias"]
    ratio = torch.stack(draws).var(dim=0) / variance("", bias, (), 1e-6)
    assert (ratio - 1).abs().max() < 0.16
    assert ratio.mean().item() == pytest.approx(1.0, abs=0.03)


def test_the_head_is_a_module_and_not_a_shape():
    """Two layers have as many outputs as there are classes; the last one is the head."""
    task = toy_task()
    with isolated(0, "net"):
        net = nn.Sequential(nn.Flatten(), nn.Linear(36, 4), nn.Tanh(), nn.Linear(4, 4))
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(torch.linspace(-1, 1, weight.numel()).view_as(weight))
    known = {n: torch.zeros_like(p) for n, p in net.named_parameters()}
    before = {n: p.detach().clone() for n, p in net.named_parameters()}
    FisherForgetting(alpha=1.0)(replace(task, model=net, cached=lambda *a, **k: known))
    draw = stream(0, "unlearn")
    scale = {"1.weight": 1e3, "1.bias": 1e4, "3.weight": 1e3, "3.bias": 1e3}
    for name, weight in net.named_parameters():
        noise = torch.randn(weight.shape, generator=draw)
        torch.testing.assert_close(weight, before[name] + scale[name] ** 0.5 * noise)


@pytest.mark.parametrize("boost", [10.0, 1.0])
def test_a_class_forgotten_whole_loses_its_row_of_the_head(boost):
    """Its weights become noise of variance 1e-4 times the boost around zero."""
    task = toy_task(num_forget=50, whole_class=True)
    assert whole_class(task) == 3
    before = task.model.layers[-1].weight.detach().clone()
    after = FisherForgetting(alpha=0.0, boost=boost)(task).layers[-1].weight
    draw = stream(0, "unlearn")
    shapes = [p.shape for p in task.model.parameters()]
    noise = [torch.randn(shape, generator=draw) for shape in shapes][-2]
    torch.testing.assert_close(after[3], (1e-4 * boost) ** 0.5 * noise[3])
    assert after[:3].equal(before[:3])


def test_a_part_of_a_class_is_no_whole_class(multilabel_task):
    task = toy_task()
    one = task.forget.take(task.forget.targets == 2)
    assert whole_class(task) is None
    assert whole_class(replace(task, forget=one)) is None
    others = task.retain.take(task.retain.targets != 2)
    assert whole_class(replace(task, forget=one, retain=others)) == 2
    assert whole_class(replace(task, retain=others)) is None
    assert whole_class(multilabel_task()) is None


@pytest.mark.parametrize(("samples", "reads"), [(None, 177), (500, 177), (40, 40)])
def test_the_number_of_samples(samples, reads):
    task = toy_task()
    FisherForgetting(samples=samples)(task)
    assert int(task.retain.pool.reads.sum()) == reads
    assert int(task.retain.pool.reads[task.retain.index].sum()) == reads


@pytest.mark.parametrize("estimator", ["exact", "sketch", "batch"])
def test_every_estimator_names_what_it_depends_on(estimator):
    seen = []

    def cached(name, view, compute, **settings):
        seen.append((name, settings))
        return compute()

    task = replace(toy_task(), cached=cached)
    before = model_fingerprint(task.model)
    assert model_fingerprint(FisherForgetting(estimator=estimator)(task)) != before
    more = {"sketch": {"seed"}, "batch": {"batch_size", "equal_batches"}}.get(estimator, set())
    assert [(name, set(settings)) for name, settings in seen] == [
        ("expected_fisher", {"estimator"} | more)
    ]


def test_estimators_differ():
    results = [
        model_fingerprint(FisherForgetting(estimator=estimator)(toy_task()))
        for estimator in ("exact", "sketch", "batch")
    ]
    assert len(set(results)) == 3


@pytest.mark.parametrize("estimator", ["exact", "sketch", "batch"])
def test_it_works_with_many_labels(estimator, multilabel_task):
    task = multilabel_task()
    before = model_fingerprint(task.model)
    after = FisherForgetting(estimator=estimator)(task)
    assert model_fingerprint(after) != before
    assert (task.retain.pool.reads[task.retain.index] == 1).all()


def test_without_a_linear_head_it_says_what_to_use():
    task = replace(toy_task(), model=nn.Sequential(nn.Flatten()))
    with pytest.raises(UnsupportedError, match=r"no linear layer .* such as finetune"):
        FisherForgetting()(task)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"alpha": -1e-6}, "alpha must be >= 0, got -1e-06"),
        ({"estimator": "fast"}, "estimator must be exact, sketch or batch, got 'fast'"),
        ({"samples": 0}, "samples must be >= 1 or null, got 0"),
        ({"batch_size": 0}, "batch_size must be >= 1, got 0"),
        ({"clamp": 0.0}, "clamp must be > 0, got 0.0"),
        ({"head_clamp": 0.0}, "head_clamp must be > 0, got 0.0"),
        ({"boost": 0.0}, "boost must be > 0, got 0.0"),
    ],
)
def test_settings_are_checked(setting, message):
    with pytest.raises(ConfigError, match=message):
        FisherForgetting(**setting)
