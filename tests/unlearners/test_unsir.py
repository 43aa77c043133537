"""UNSIR: noise by a loop written out, who is used for what, and where it does not apply."""

from dataclasses import dataclass, field, replace

import pytest
import torch
import torch.nn.functional as F

from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import isolated, stream
from erasure.core.splits import DataSplits, View
from erasure.core.task_types import Multiclass
from erasure.data.pools.tensor import TensorPool
from erasure.data.sources.digits import Digits
from erasure.data.splits.drawn import ClassForget
from erasure.models.mlp import MLP
from erasure.testing import toy_task
from erasure.training.noise import NoiseSearch
from erasure.training.scoring import accuracy
from erasure.unlearners.finetune import Finetune
from erasure.unlearners.unsir_class import Impair, Repair
from erasure.unlearners.unsir_sample import UnsirSample

MODELS = pytest.mark.parametrize("model", ["mlp", "cnn"])


def adam(start, slope, *, lr, steps):
    """Descend by the formulas of Kingma and Ba with their constants."""
    result, mean, square = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    for step in range(1, steps + 1):
        gradient = slope(result)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        corrected = (square / (1 - 0.999**step)).sqrt() + 1e-8
        result = result - lr * mean / (1 - 0.9**step) / corrected
    return result


def slope_of(objective):
    def slope(noise):
        noise = noise.clone().requires_grad_()
        return torch.autograd.grad(objective(noise), noise)[0]

    return slope


@dataclass(frozen=True)
class Watched(Multiclass):
    """Records what the loss of a task is asked about."""

    asked: list = field(default_factory=list)

    def loss(self, logits, targets):
        self.asked.append((logits.detach().clone(), targets.clone()))
        return super().loss(logits, targets)


@dataclass(frozen=True, kw_only=True)
class TokenPool(TensorPool):
    def fetch(self, index, *, augment=None):
        return super().fetch(index, augment=augment).long()


def with_tokens(task):
    pool = task.forget.pool.pool
    tokens = TokenPool(inputs=pool.inputs, targets=pool.targets, class_names=pool.class_names)
    views = {name: getattr(task, name).index for name in ("forget", "retain", "val")}
    return replace(task, **{name: View(tokens, ids) for name, ids in views.items()})


@pytest.fixture
def impair(fit):
    def make(*, lr=0.1, steps=4, mode="eval", epochs=1, rate=0.0, **settings):
        small = {"noise_size": 5, "copies": 1, "per_class": 2} | settings
        search = NoiseSearch(lr=lr, steps=steps, mode=mode)
        return Impair(fit=fit(lr=rate, epochs=epochs, batch_size=400), search=search, **small)

    return make


@pytest.fixture
def noise_of():
    """Run and return the inputs that the network was trained on and that no pool holds."""

    def run(method, task):
        seen = []
        task.model.register_forward_pre_hook(
            lambda net, inputs: seen.append(inputs[0].detach().clone()) if net.training else None
        )
        method(task)
        pool = task.forget.pool.pool.inputs
        return torch.stack([row for row in seen[-1] if not (row == pool).flatten(1).all(1).any()])

    return run


def test_the_noise_is_that_of_the_formulas(impair, noise_of):
    task, net = toy_task(whole_class=True), toy_task(whole_class=True).model.eval()
    start = torch.randn(5, 1, 6, 6, generator=stream(0, "unlearn"))

    def objective(noise):
        size = (noise**2).sum(dim=[1, 2, 3]).mean()
        return -F.cross_entropy(net(noise), torch.full((5,), 3)) + 0.01 * size

    expected = adam(start, slope_of(objective), lr=0.5, steps=4)
    result = noise_of(impair(lr=0.5, penalty=0.01, clamp=False), task)
    assert torch.allclose(sort(result), sort(expected), rtol=0, atol=1e-5)
    kept = torch.cat([task.retain.index[task.retain.targets == c][:2] for c in range(3)])
    data = task.retain.pool.pool.inputs[kept]
    clamped = noise_of(impair(lr=0.5, penalty=0.01), toy_task(whole_class=True))
    limited = expected.clamp(data.min(), data.max())
    assert torch.allclose(sort(clamped), sort(limited), rtol=0, atol=1e-5)
    assert not torch.allclose(sort(clamped), sort(result), rtol=0, atol=1e-2)


def sort(rows):
    return rows.flatten(1)[rows.flatten(1)[:, 0].argsort()]


@MODELS
def test_the_loss_of_the_forgotten_class_rises_on_the_noise(impair, model):
    kind = Watched()
    task = replace(toy_task(model, whole_class=True), task_type=kind)
    impair(steps=30, penalty=0.01, epochs=0)(task)
    losses = [F.cross_entropy(*asked).item() for asked in kind.asked]
    assert len(losses) == 30
    assert losses[-1] > losses[0] + 1.0
    assert all((targets == 3).all() for _, targets in kind.asked)


@pytest.mark.parametrize(("mode", "polluted"), [("eval", False), ("train", True)])
def test_the_search_leaves_the_network_alone(impair, parameters, statistics, mode, polluted):
    task, before = toy_task("cnn", whole_class=True), toy_task("cnn", whole_class=True).model
    after = impair(mode=mode, epochs=0)(task)
    assert parameters(after).equal(parameters(before))
    assert statistics(after).equal(statistics(before)) is not polluted
    assert all(weight.grad is None for weight in after.parameters())
    assert {module.training for module in after.modules()} == {True}


def test_it_trains_on_copies_of_the_noise_and_the_first_samples_of_each_class(impair):
    kind = Watched()
    task = replace(toy_task(whole_class=True), task_type=kind)
    impair(copies=4, per_class=7)(task)
    assert kind.asked[-1][1].bincount().tolist() == [7, 7, 7, 4 * 5]
    reads = task.retain.pool.reads
    first = [task.retain.index[task.retain.targets == label][:7] for label in range(3)]
    assert set(reads.nonzero().flatten().tolist()) == set(torch.cat(first).tolist())


def test_every_forgotten_class_has_noise_of_its_own_label(impair):
    kind, task = Watched(), toy_task(whole_class=True)
    second = task.retain.targets == 2
    both = replace(
        task,
        task_type=kind,
        forget=task.forget + task.retain.take(second),
        retain=task.retain.take(~second),
    )
    impair()(both)
    assert kind.asked[-1][1].bincount().tolist() == [2, 2, 5, 5]


def test_batches_have_about_one_size_and_miss_nothing(fit):
    """3 * 5 copies of noise and 3 * 2 samples in batches of at most 5: 5, 4, 4, 4, 4."""
    kind = Watched()
    task = replace(toy_task(whole_class=True), task_type=kind)
    search = NoiseSearch(lr=0.1, steps=0)
    loop = fit(epochs=1, batch_size=5)
    Impair(fit=loop, search=search, noise_size=5, copies=3, per_class=2)(task)
    assert [len(targets) for _, targets in kind.asked] == [5, 4, 4, 4, 4]
    every = torch.cat([targets for _, targets in kind.asked])
    assert every.bincount().tolist() == [2, 2, 2, 15]


def test_impairing_destroys_the_class_and_repairing_mends_the_rest(fit):
    """On handwritten digits, with the rates and batches that ship."""
    pool = Digits()(DataConfig())
    indices = ClassForget(classes=[3])(pool, stream(0, "split"))
    splits = DataSplits.of(pool, indices)
    with isolated(0, "digits"):
        net = MLP(pool.input_shape, 10, hidden=(256, 128))
    train = Finetune(fit=fit(torch.optim.Adam, lr=0.002, epochs=30, batch_size=64))
    views = {"forget": splits.forget, "retain": splits.train, "val": splits.val}
    task = replace(toy_task(), model=net, task_type=pool.task_type, num_classes=10, **views)
    task = replace(task, model=train(task), retain=splits.retain)
    assert accuracy(task.model, task.forget) > 0.95
    loop = fit(torch.optim.Adam, lr=0.02, epochs=1, batch_size=256)
    search = NoiseSearch(lr=0.1, steps=40)
    hurt = Impair(fit=loop, search=search)(task)
    after_impair = [accuracy(hurt, part) for part in (task.forget, task.retain)]
    repair = Repair(fit=fit(torch.optim.Adam, lr=0.01, epochs=1, batch_size=256))
    mended = repair(replace(task, model=hurt))
    assert after_impair[0] < 0.05
    assert accuracy(mended, task.forget) < 0.05
    assert accuracy(mended, task.retain) > max(0.9, after_impair[1])


@MODELS
def test_repairing_with_every_sample_is_finetuning(fit, model):
    tuned = Finetune(fit=fit())(toy_task(model))
    assert model_fingerprint(Repair(fit=fit())(toy_task(model))) == model_fingerprint(tuned)


def test_the_sample_form_is_the_step_written_out(fit, parameters):
    """One pair of 177 and 23 samples: the labels of the first 23 go with the noise."""
    task, net = toy_task(), toy_task().model
    pool = task.retain.pool.pool.inputs
    order = torch.randperm(177, generator=stream(0, "unlearn"))
    keep = task.retain.take(order)
    seed = task.generator.initial_seed()
    shuffle = torch.randperm(23, generator=stream(seed, "paired", "other"))
    wanted = net(pool[task.forget.index[shuffle]]).detach()
    start = torch.randn(23, 1, 6, 6, generator=stream(seed, "unsir_sample", "noise"))
    noise = adam(start, slope_of(lambda n: -((net(n) - wanted) ** 2).mean()), lr=0.05, steps=5)
    kept = pool[task.retain.index]
    noise = noise.clamp(kept.min(), kept.max())
    loss = F.cross_entropy(net(noise), keep.targets[:23])
    loss = loss + F.cross_entropy(net(pool[keep.index]), keep.targets)
    slopes = torch.autograd.grad(loss, list(net.parameters()))
    expected = parameters(net) - 0.1 * torch.cat([slope.flatten() for slope in slopes])
    search = NoiseSearch(lr=0.05, steps=5)
    ours = UnsirSample(fit=fit(lr=0.1, epochs=1, batch_size=200), search=search)(task)
    assert torch.allclose(parameters(ours), expected, rtol=0, atol=1e-5)


@MODELS
def test_the_noise_of_the_sample_form_moves_away_from_the_forget_set(model):
    net, task = toy_task(model).model, toy_task(model)
    logits = net.eval()(task.forget.pool.fetch(task.forget.index)).detach()
    start = torch.zeros(23, 1, 6, 6)

    def apart(noise):
        return F.mse_loss(net(noise), logits)

    result = NoiseSearch(lr=0.01, steps=5)(net, start, lambda noise: -apart(noise))
    assert apart(result) > apart(start)
    assert (result - start).abs().max() == pytest.approx(0.05, rel=0.05)  # Adam: lr at most


def test_no_pair_is_skipped_and_labels_of_the_forget_set_are_not_used(fit):
    search = NoiseSearch(lr=0.05, steps=2)
    task = toy_task()
    ours = UnsirSample(fit=fit(epochs=2, batch_size=16), search=search)(task)
    reads = task.forget.pool.reads
    epochs_and_range = 2 + 1
    assert reads[task.retain.index].tolist() == [epochs_and_range + 1] + [epochs_and_range] * 176
    assert int(reads[task.forget.index].min()) == 2 * 5  # 11 pairs, and 2 batches of forget
    other = toy_task()
    other = replace(other, forget=other.forget.relabel((other.forget.targets + 1) % 4))
    again = UnsirSample(fit=fit(epochs=2, batch_size=16), search=search)(other)
    assert model_fingerprint(again) == model_fingerprint(ours)


def test_a_forget_batch_larger_than_that_of_the_retain_set_repeats_its_labels(fit):
    kind, task = Watched(), toy_task()
    few = replace(task, task_type=kind, retain=task.retain.take(torch.arange(3)))
    UnsirSample(fit=fit(epochs=1), search=NoiseSearch(lr=0.1, steps=0))(few)
    (_, on_noise), (_, on_data) = kind.asked
    assert (len(on_noise), len(on_data)) == (23, 3)
    assert on_noise.equal(on_data.repeat(8)[:23])


def test_the_sample_form_takes_several_labels(fit, multilabel_task):
    """At a rate of zero the loss is that of noise and data under the labels of the data."""
    task, curve = multilabel_task(), []
    task = replace(task, report=lambda step, of, **values: curve.append(values["loss"]))
    search = NoiseSearch(lr=0.1, steps=0)
    UnsirSample(fit=fit(lr=0.0, epochs=1, batch_size=40), search=search)(task)
    seed, pool = task.generator.initial_seed(), task.retain.pool.pool
    noise = torch.randn(11, 4, generator=stream(seed, "unsir_sample", "noise"))
    kept = pool.fetch(task.retain.index)
    noise = noise.clamp(kept.amin(0), kept.amax(0))
    order = torch.randperm(29, generator=stream(0, "unlearn"))
    labels = task.retain.targets[order].float()
    loss = F.binary_cross_entropy_with_logits(task.model(noise), labels[:11])
    loss = loss + F.binary_cross_entropy_with_logits(task.model(kept[order]), labels)
    assert curve == [pytest.approx(loss.item(), rel=1e-5)]


def test_the_class_form_refuses_what_it_cannot_forget(impair, fit, multilabel_task):
    with pytest.raises(UnsupportedError, match=r"unsir_class forgets whole classes.*unsir_sample"):
        impair()(toy_task())
    for method in (impair(), Repair(fit=fit())):
        with pytest.raises(UnsupportedError, match=r"one class per sample.*unsir_sample"):
            method(multilabel_task())


def test_inputs_that_are_not_numbers_are_refused(impair, fit):
    message = r"floating-point numbers.*torch.int64.*random_labels"
    with pytest.raises(UnsupportedError, match=message):
        impair()(with_tokens(toy_task(whole_class=True)))
    with pytest.raises(UnsupportedError, match=message):
        UnsirSample(fit=fit(), search=NoiseSearch(lr=0.1, steps=1))(with_tokens(toy_task()))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"penalty": -0.1}, "penalty must be >= 0, got -0.1"),
        ({"noise_size": 0}, "noise_size must be >= 1, got 0"),
        ({"copies": 0}, "copies must be >= 1, got 0"),
        ({"per_class": 0}, "per_class must be >= 1, got 0"),
        ({"lr": 0.0}, "lr must be > 0, got 0.0"),
        ({"steps": -1}, "steps must be >= 0, got -1"),
        ({"mode": "test"}, "mode must be train, eval or frozen_norm, got 'test'"),
    ],
)
def test_settings_are_checked(impair, setting, message):
    with pytest.raises(ConfigError, match=message):
        impair(**setting)


def test_the_repair_is_checked_as_well(fit):
    with pytest.raises(ConfigError, match="per_class must be >= 1, got 0"):
        Repair(fit=fit(), per_class=0)
