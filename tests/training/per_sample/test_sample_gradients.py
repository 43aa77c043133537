"""Per-sample gradients against a plain loop with one backward pass per sample."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import isolated, stream
from erasure.core.splits import View
from erasure.core.task_types import Multiclass, Multilabel
from erasure.data.pools.tensor import TensorPool
from erasure.data.pools.through import AuditedPool
from erasure.models.cnn import CNN
from erasure.models.mlp import MLP
from erasure.models.resnet import resnet18
from erasure.training.gradients import expected_batch_gradients, mean_squared_gradients
from erasure.training.per_sample import gradients as module
from erasure.training.per_sample.engines import ByLayers, ByVmap, OneByOne
from erasure.training.per_sample.gradients import (
    expected_fisher,
    mean_squared_sample_gradients,
    sample_gradients,
)
from erasure.training.per_sample.layers import has_rule

LABELS = 3
IMAGE = (2, 7, 7)


class Double(nn.Module):
    """The same network in float64, where rounding cannot hide a mistake."""

    def __init__(self, net):
        super().__init__()
        self.net = net.double()

    def forward(self, inputs):
        return self.net(inputs.double())


class Block(nn.Module):
    """A residual block with all that a convolution can have, activations in place."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.first = nn.Conv2d(4, 6, 3, stride=2, padding=(1, 2), dilation=(1, 2), groups=2)
        self.group = nn.GroupNorm(3, 6)
        self.second = nn.Conv2d(6, 6, (1, 3), padding=(0, 1), groups=6, bias=False)
        self.shortcut = nn.Conv2d(4, 6, 1, stride=2, bias=False)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Linear(6, LABELS)

    def forward(self, inputs):
        start = self.act(self.norm(self.stem(inputs)))
        inner = self.second(self.act(self.group(self.first(start))))
        whole = self.act(inner + self.shortcut(start)[..., : inner.shape[-1]])
        return self.head(whole.mean(dim=(2, 3)))


class Tokens(nn.Module):
    """Linear maps over a sequence, a table of embeddings and layer normalization."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(11, 4, padding_idx=0)
        self.map = nn.Linear(4, 5)
        self.norm = nn.LayerNorm((5,))
        self.head = nn.Linear(5, LABELS)

    def forward(self, inputs):
        tokens = inputs.flatten(1).abs().mul(3).long().clamp(max=10)
        return self.head(torch.tanh(self.norm(self.map(self.table(tokens)))).mean(dim=1))


class Twice(nn.Module):
    """One layer that runs twice, or whose weight is used a second time behind its back."""

    def __init__(self, how):
        super().__init__()
        self.how = how
        self.into = nn.Linear(98, 6)
        self.inner = nn.Linear(6, 6)
        self.tied = nn.Linear(6, 6)
        if how == "tied":
            self.tied.weight = self.inner.weight
        self.head = nn.Linear(6, LABELS)

    def forward(self, inputs):
        hidden = self.inner(torch.tanh(self.into(inputs.flatten(1))))
        if self.how == "function":
            hidden = F.linear(torch.tanh(hidden), self.inner.weight)
        if self.how == "module":
            hidden = self.inner(torch.tanh(hidden))
        return self.head(self.tied(torch.tanh(hidden)))


class Parameterized(nn.Module):
    """A weight that is computed from another one, and a parameter that no layer owns."""

    def __init__(self):
        super().__init__()
        self.map = nn.utils.parametrizations.weight_norm(nn.Linear(98, 5))
        self.shift = nn.Parameter(torch.full((5,), 0.1))
        self.head = nn.Linear(5, LABELS)

    def forward(self, inputs):
        return self.head(torch.tanh(self.map(inputs.flatten(1)) + self.shift))


class Branching(nn.Module):
    """Control flow that depends on the data, which cannot be vectorized."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(98, LABELS), nn.Linear(98, LABELS)

    def forward(self, inputs):
        flat = inputs.flatten(1)
        return self.left(flat) + self.left(self.right(flat) @ self.right.weight * 0.01) * (
            2.0 if float(flat.sum()) > 0 else 1.0
        )


NETS = {
    "mlp": (lambda: MLP(IMAGE, LABELS, hidden=(9,)), ByLayers),
    "cnn": (lambda: CNN(IMAGE, LABELS, channels=(3, 4), hidden=6), ByLayers),
    "block": (Block, ByLayers),
    "tokens": (Tokens, ByLayers),
    "no second use": (lambda: Twice("nothing"), ByLayers),
    "module twice": (lambda: Twice("module"), ByVmap),
    "function twice": (lambda: Twice("function"), ByVmap),
    "tied": (lambda: Twice("tied"), ByVmap),
    "parameterized": (Parameterized, ByVmap),
    "branching": (Branching, OneByOne),
}
EVERY = pytest.mark.parametrize("name", NETS)


def make(name, *, double=True):
    with isolated(0, "net"):
        net = NETS[name][0]()
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_()
                layer.running_var.uniform_(0.5, 2.0)
                nn.init.uniform_(layer.weight, 0.5, 1.5)
    return Double(net) if double else net


def make_view(kind=None, count=13):
    generator = stream(0, "data")
    kind = kind or Multiclass()
    targets = torch.randint(LABELS, (count,), generator=generator)
    if isinstance(kind, Multilabel):
        targets = torch.randint(2, (count, LABELS), generator=generator).float()
    names = tuple("abc")
    pool = TensorPool(
        inputs=torch.randn(count, *IMAGE, generator=generator),
        targets=targets,
        class_names=names,
        task_type=kind,
    )
    return View(AuditedPool.watch(pool), torch.arange(count))


def loop(model, view, objectives):
    """Square the gradient of each objective of each sample, one backward pass each."""
    named = {n: p for n, p in model.named_parameters() if p.requires_grad}
    total = {n: torch.zeros_like(p) for n, p in named.items()}
    model.eval()
    for batch in view.batches(1):
        for value in objectives(model(batch.inputs), batch.targets):
            gradients = torch.autograd.grad(
                value, list(named.values()), retain_graph=True, allow_unused=True
            )
            for name, slope in zip(named, gradients, strict=True):
                total[name] += 0 if slope is None else slope**2 / len(view)
    return total


def true_loss(logits, target):
    return [F.cross_entropy(logits, target)]


def own_labels(logits, target):
    """Every class, weighted by the root of its probability."""
    probabilities = logits.detach().softmax(dim=1)[0]
    for label in range(LABELS):
        yield probabilities[label].sqrt() * F.cross_entropy(logits, torch.tensor([label]))


def assert_same(actual, expected, tolerance):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert (actual[name] - value).norm() <= tolerance * value.norm(), name


@EVERY
@pytest.mark.parametrize("chunk", [None, 5])
def test_squares_are_those_of_the_loop(name, chunk):
    model, view = make(name), make_view()
    squares = mean_squared_sample_gradients(model, view, Multiclass().loss, chunk=chunk)
    assert_same(squares, loop(model, view, true_loss), 1e-12)


@EVERY
def test_the_expected_fisher_is_that_of_the_loop(name):
    model, view = make(name), make_view()
    assert_same(expected_fisher(model, view, Multiclass()), loop(model, view, own_labels), 1e-12)


@EVERY
def test_the_gradients_themselves(name):
    """Row by row they are those of the loop, and their squares are the squares above."""
    model, view = make(name), make_view()
    rows = torch.cat(list(sample_gradients(model, view, Multiclass().loss, chunk=4)))
    assert rows.shape == (13, sum(p.numel() for p in model.parameters()))
    whole = []
    for batch in view.batches(1):
        loss = F.cross_entropy(model.eval()(batch.inputs), batch.targets)
        slopes = torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True)
        whole.append(torch.cat([slope.flatten() for slope in slopes]))
    torch.testing.assert_close(rows, torch.stack(whole))
    squares = torch.cat([v.flatten() for v in loop(model, view, true_loss).values()])
    torch.testing.assert_close(rows.square().mean(dim=0), squares)


@EVERY
def test_the_fastest_engine_that_is_right_is_taken(name, monkeypatch):
    taken = []
    choose = module._choose
    monkeypatch.setattr(module, "_choose", lambda *a: taken.append(type(choose(*a))) or choose(*a))
    mean_squared_sample_gradients(make(name), make_view(), Multiclass().loss)
    assert taken == [NETS[name][1]]


@pytest.mark.parametrize("name", ["mlp", "cnn", "block"])
def test_single_precision_is_exact_to_1e_5(name):
    model, view = make(name, double=False), make_view()
    squares = mean_squared_sample_gradients(model, view, Multiclass().loss)
    assert_same(squares, loop(model, view, true_loss), 1e-5)
    squares = expected_fisher(model, view, Multiclass())
    assert_same(squares, loop(model, view, own_labels), 1e-5)


def test_a_resnet_is_exact_to_1e_5():
    with isolated(0, "net"):
        model = resnet18(IMAGE, LABELS)
    view = make_view(count=2)
    squares = mean_squared_sample_gradients(model, view, Multiclass().loss)
    assert_same(squares, loop(model, view, true_loss), 1e-5)


def test_labels_that_are_independent_of_one_another():
    """Per label ``p (1 - p)`` times the squared gradient of its logit, as a share of the loss."""
    kind = Multilabel()
    model, view = make("mlp"), make_view(kind)

    def logits_alone(logits, target):
        share = logits.detach().sigmoid()
        return ((share * (1 - share)).sqrt() * logits / LABELS)[0]

    fisher = expected_fisher(model, view, kind)
    assert_same(fisher, loop(model, view, logits_alone), 1e-12)


def test_the_batch_estimator_by_its_formula():
    """With a batch of one sample it is the exact one; a batch of all has three terms."""
    model, view = make("cnn"), make_view()
    single = expected_batch_gradients(model, view, 1, Multiclass())
    assert_same(single, expected_fisher(model, view, Multiclass()), 1e-12)
    (batch,) = view.batches(13)
    logits = model.eval()(batch.inputs)
    weight = model.net.head[-1].weight
    expected = torch.zeros_like(weight)
    for label in range(LABELS):
        loss = F.cross_entropy(logits, torch.full((13,), label))
        (slope,) = torch.autograd.grad(loss, weight, retain_graph=True)
        expected += logits.softmax(dim=1)[:, label].mean() * slope**2
    squares = expected_batch_gradients(model, view, 13, Multiclass())["net.head.3.weight"]
    torch.testing.assert_close(squares, expected.detach())


def test_a_sketch_is_right_on_average():
    """Over K sketches the standard error of the mean falls by the root of K."""
    model, view = make("mlp"), make_view()
    exact = expected_fisher(model, view, Multiclass())
    generator = stream(0, "signs")
    sketches = [
        expected_fisher(model, view, Multiclass(), estimator="sketch", generator=generator)
        for _ in range(400)
    ]
    for name, value in exact.items():
        drawn = torch.stack([sketch[name] for sketch in sketches])
        error = drawn.std(dim=0) / 400**0.5
        assert ((drawn.mean(dim=0) - value).abs() <= 5 * error + 1e-12).all(), name
        assert not torch.allclose(drawn[0], value)


def test_a_sketch_needs_a_generator():
    with pytest.raises(ValueError, match="needs a generator"):
        expected_fisher(make("mlp"), make_view(), Multiclass(), estimator="sketch")


@EVERY
def test_nothing_is_left_behind_and_every_sample_is_read_once(name):
    model, view = make(name), make_view()
    model.train()
    before = model_fingerprint(model)
    mean_squared_sample_gradients(model, view, Multiclass().loss)
    assert (view.pool.reads == 1).all()
    assert model_fingerprint(model) == before
    assert all(layer.training for layer in model.modules())
    assert not any(layer._forward_hooks for layer in model.modules())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("name", ["cnn", "module twice"])
def test_frozen_parameters_are_left_out(name):
    model, view = make(name), make_view()
    for parameter in [*model.parameters()][:2]:
        parameter.requires_grad_(False)
    squares = mean_squared_sample_gradients(model, view, Multiclass().loss)
    assert_same(squares, loop(model, view, true_loss), 1e-12)
    rows = torch.cat(list(sample_gradients(model, view, Multiclass().loss)))
    assert rows.shape[1] == sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_inputs_that_are_no_tensors_are_visited_one_by_one():
    model, view = make("mlp"), make_view()

    class Opaque(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, inputs):
            return self.inner(inputs.value)

    class Wrapped:
        def __init__(self, value):
            self.value = value

    class Pool:
        targets, task, num_classes = view.pool.targets, view.pool.task_type, 3

        @staticmethod
        def fetch(index, *, augment=None):
            return Wrapped(view.pool.fetch(index))

        def stream(self, batches, *, augment=None):
            return map(self.fetch, batches)

    squares = mean_squared_sample_gradients(Opaque(), View(Pool(), view.index), Multiclass().loss)
    expected = loop(model, make_view(), true_loss)
    assert_same(squares, {f"inner.{name}": value for name, value in expected.items()}, 1e-12)


def test_mappings_of_tensors():
    class Named(nn.Module):
        def __init__(self, how):
            super().__init__()
            self.inner = make(how)

        def forward(self, inputs):
            return self.inner(inputs["image"] * inputs["mask"][:, None])

    view = make_view()

    class Pool:
        targets, task, num_classes = view.pool.targets, view.pool.task_type, 3

        @staticmethod
        def fetch(index, *, augment=None):
            return {"image": view.pool.fetch(index), "mask": torch.ones(len(index), 7, 7)}

        def stream(self, batches, *, augment=None):
            return map(self.fetch, batches)

    for name in ("cnn", "module twice"):
        squares = mean_squared_sample_gradients(
            Named(name), View(Pool(), view.index), Multiclass().loss
        )
        expected = loop(make(name), make_view(), true_loss)
        assert_same(squares, {f"inner.{k}": v for k, v in expected.items()}, 1e-12)


def test_wider_models_get_smaller_chunks(monkeypatch):
    sizes = []

    class Counting(TensorPool):
        def fetch(self, index, *, augment=None):
            sizes.append(len(index))
            return super().fetch(index, augment=augment)

    inputs = torch.zeros(64, *IMAGE)
    pool = Counting(inputs=inputs, targets=torch.arange(64) % 3, class_names=tuple("abc"))
    view = View(pool, torch.arange(64))
    monkeypatch.setitem(module.MEMORY, "cpu", 30_000)
    for hidden in (10, 100):
        with isolated(0, "net"):
            model = MLP(IMAGE, 3, hidden=(hidden,))
        list(sample_gradients(model, view, Multiclass().loss))
    small, large = sizes.index(1, 1), sizes[sizes.index(1, 1) + 1 :]
    assert max(sizes[:small]) > 4 * max(large)
    assert sum(sizes) == 128


def test_the_batch_level_engine_agrees_at_a_batch_of_one():
    model, view = make("cnn"), make_view()
    loss = Multiclass().loss
    slow = mean_squared_gradients(
        model, view, 1, lambda net, batch: loss(net(batch.inputs), batch.targets).sum()
    )
    assert_same(mean_squared_sample_gradients(model, view, loss), slow, 1e-12)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"),
        lambda: nn.Conv2d(2, 3, 3, padding="same"),
        lambda: nn.BatchNorm2d(2, track_running_stats=False),
        lambda: nn.Embedding(5, 2, max_norm=1.0),
        lambda: nn.Embedding(5, 2, scale_grad_by_freq=True),
        lambda: nn.Embedding(5, 2, sparse=True),
    ],
)
def test_layers_whose_closed_form_would_be_another_have_no_rule(layer):
    with isolated(0, "layer"):
        assert not has_rule(layer())


def test_plain_layers_have_a_rule():
    with isolated(0, "layer"):
        plain = [nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(2), nn.Embedding(5, 2)]
    assert all(has_rule(layer) for layer in plain)
