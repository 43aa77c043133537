"""SSD and its relatives: the edit by hand, importances by a plain loop, thresholds by numpy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from erasure.core.errors import ConfigError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import isolated, stream
from erasure.testing import toy_task
from erasure.training.gradients import (
    mean_absolute_gradients,
    mean_squared_gradients,
    summed_gradients,
)
from erasure.unlearners.assd import ASSD, quantile, threshold
from erasure.unlearners.lfssd import LFSSD
from erasure.unlearners.ssd import SSD, dampen

MODELS = pytest.mark.parametrize("model", ["mlp", "cnn"])
FAMILY = {
    "ssd": lambda **more: SSD(**{"alpha": 1.5, **more}),
    "lfssd": lambda **more: LFSSD(**{"alpha": 1.5, **more}),
    "assd": ASSD,
}
EVERY = pytest.mark.parametrize("method", FAMILY)


def cross_entropy(logits, targets):
    return F.cross_entropy(logits, targets)


def squared_norm(logits, targets):
    return (logits**2).sum() / len(logits)


def importance(task, ids, size, loss, power, *, equal=False):
    """Mean over batches of a power of the gradient's magnitude, in float64."""
    model = task.model.eval()
    pool = task.forget.pool.pool
    ids = torch.as_tensor(ids)
    batches = ids.tensor_split(-(-len(ids) // size)) if equal else ids.split(size)
    total = {
        name: torch.zeros_like(p, dtype=torch.float64) for name, p in model.named_parameters()
    }
    for batch in batches:
        value = loss(model(pool.fetch(batch)), pool.targets[batch])
        slopes = torch.autograd.grad(value, list(model.parameters()))
        for name, slope in zip(total, slopes, strict=True):
            total[name] += slope.double().abs() ** power / len(batches)
    return total


def both(task):
    return torch.cat([task.forget.index, task.retain.index]).sort().values


@MODELS
@pytest.mark.parametrize("equal", [True, False])
def test_ssd_is_its_formula(model, equal):
    """23 samples to forget in batches of 22: 12 and 11, or 22 and one by itself."""
    reference = toy_task(model)
    d, f = (
        importance(reference, ids, 22, cross_entropy, 2, equal=equal)
        for ids in (both(reference), reference.forget.index)
    )
    method = SSD(alpha=1.5, dampening=0.7, batch_size=22, equal_batches=equal)
    result = dict(method(toy_task(model)).named_parameters())
    touched = 0
    for name, old in reference.model.named_parameters():
        for w, new, fi, di in zip(
            *(v.detach().flatten().tolist() for v in (old, result[name], f[name], d[name])),
            strict=True,
        ):
            if fi > 1.5 * di:
                assert new == pytest.approx(w * min(0.7 * di / fi, 1.0), rel=1e-3, abs=1e-9)
                touched += 1
            elif fi < 1.4999 * di:
                assert new == w
    assert touched > 50


@MODELS
@pytest.mark.parametrize("equal", [True, False])
def test_lfssd_is_its_formula(model, equal):
    reference = toy_task(model)
    d, f = (
        importance(reference, ids, 21, squared_norm, 1, equal=equal)
        for ids in (both(reference), reference.forget.index)
    )
    method = LFSSD(alpha=1.0, batch_size=21, equal_batches=equal)
    result = dict(method(toy_task(model)).named_parameters())
    touched = 0
    for name, old in reference.model.named_parameters():
        clear = (f[name] - 1.0 * d[name]).abs() > 1e-5 * d[name]
        chosen = f[name] > 1.0 * d[name]
        expected = torch.where(chosen, old.double() * d[name] / f[name].clamp(min=1e-30), old)
        torch.testing.assert_close(
            result[name][clear].double(), expected[clear].double(), rtol=1e-4, atol=1e-8
        )
        touched += int(chosen.sum())
    assert touched > 50


@MODELS
@pytest.mark.parametrize("equal", [True, False])
def test_assd_is_its_formula(model, equal):
    reference = toy_task(model)
    d, f = (
        importance(reference, view.index, 22, cross_entropy, 2, equal=equal)
        for view in (reference.retain, reference.forget)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.concatenate([(f[n].numpy() / d[n].numpy()).ravel() for n in f])
    alpha = np.percentile(ratios[np.isfinite(ratios)], 100 - np.log(1 + 100 * 23 / 200))
    curve = []
    task = replace(toy_task(model), report=lambda step, of, **values: curve.append(values))
    result = dict(ASSD(batch_size=22, equal_batches=equal)(task).named_parameters())
    assert curve[0]["alpha"] == pytest.approx(alpha, rel=1e-3)
    for name, old in reference.model.named_parameters():
        chosen, clear = f[name] > alpha * d[name], (f[name] / d[name] / alpha - 1).abs() > 1e-3
        factor = (d[name] / f[name].clamp(min=1e-30)).clamp(max=1.0)
        expected = torch.where(chosen, old.double() * factor, old.double())
        torch.testing.assert_close(
            result[name][clear].double(), expected[clear], rtol=1e-3, atol=1e-8
        )


def layer(weights):
    with isolated(0, "layer"):
        model = nn.Linear(len(weights), 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([weights]))
    return model


def test_the_edit_by_hand():
    """Alpha 2, lambda 3/2: f > 2d holds for 5 > 2 and 8 > 2 and 1 > 0, not for 2 > 2 or 0 > 0.

    The factors are min(3/2 * 1/5, 1) = 0.3, min(3/2 * 1/8, 1) = 3/16 and 0.
    """
    model = layer([10.0, -16.0, 7.0, 5.0, 3.0, 2.0])
    forget = {"weight": torch.tensor([[5.0, 8.0, 2.0, 1.0, 0.0, 0.5]])}
    whole = {"weight": torch.tensor([[1.0, 1.0, 1.0, 0.0, 0.0, 1.0]])}
    share = dampen(model, forget, whole, 2.0, 1.5)
    assert model.weight.tolist() == [[pytest.approx(3.0), -3.0, 7.0, 0.0, 3.0, 2.0]]
    assert share == 0.5


def test_no_weight_grows():
    """Alpha below lambda selects weights whose factor would be above one."""
    model = layer([3.0, -4.0])
    before = model.weight.detach().clone()
    ones = {"weight": torch.ones(1, 2)}
    assert dampen(model, ones, ones, 0.5, 4.0) == 1.0
    assert model.weight.equal(before)


@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_equal_importances_select_nothing(alpha):
    model = layer([3.0, -4.0])
    before = model_fingerprint(model)
    equal = {"weight": torch.tensor([[0.3, 0.0]])}
    assert dampen(model, equal, equal, alpha, 0.1) == 0.0
    assert model_fingerprint(model) == before


@MODELS
@pytest.mark.parametrize("method", ["ssd", "lfssd"])
def test_with_nothing_selected_it_is_the_identity(model, method):
    task = toy_task(model)
    before = model_fingerprint(task.model)
    assert model_fingerprint(FAMILY[method](alpha=1e30)(task)) == before


@MODELS
@EVERY
def test_what_is_not_selected_keeps_every_bit_and_nothing_grows(model, method):
    task, before = toy_task(model), toy_task(model).model
    after = FAMILY[method]()(task)
    for (name, old), new in zip(before.named_parameters(), after.parameters(), strict=True):
        assert (new.abs() <= old.abs()).all(), name
    moved = sum(
        int((a != b).sum()) for a, b in zip(before.parameters(), after.parameters(), strict=True)
    )
    assert 0 < moved < sum(p.numel() for p in before.parameters())
    for old, new in zip(before.buffers(), after.buffers(), strict=True):
        assert old.equal(new)


@pytest.mark.parametrize("method", ["ssd", "lfssd"])
def test_a_higher_threshold_selects_a_subset(method):
    start = list(toy_task().model.parameters())

    def selected(alpha):
        after = FAMILY[method](alpha=alpha)(toy_task()).parameters()
        return torch.cat([(a != b).flatten() for a, b in zip(start, after, strict=True)])

    low, high = selected(1.2), selected(2.4)
    assert 0 < high.sum() < low.sum()
    assert not (high & ~low).any()


@pytest.mark.parametrize(("method", "matter"), [("ssd", True), ("assd", True), ("lfssd", False)])
def test_whether_labels_matter(method, matter):
    task, other = toy_task(), toy_task()
    other = replace(other, forget=other.forget.relabel((other.forget.targets + 1) % 4))
    same = model_fingerprint(FAMILY[method]()(task)) == model_fingerprint(FAMILY[method]()(other))
    assert same is not matter


@EVERY
def test_each_set_is_read_once(method):
    task = toy_task()
    FAMILY[method]()(task)
    reads = task.forget.pool.reads
    assert (reads[task.retain.index] == 1).all()
    assert (reads[task.forget.index] == (1 if method == "assd" else 2)).all()


def test_importances_are_remembered_with_all_they_depend_on():
    seen = []

    def cached(name, view, compute, **settings):
        seen.append((name, len(view), settings))
        return compute()

    task = replace(toy_task(), cached=cached)
    SSD(batch_size=50)(task)
    ASSD(batch_size=50)(task)
    LFSSD(batch_size=64, equal_batches=False)(task)
    loss = {"objective": "loss", "batch_size": 50, "equal_batches": True}
    norm = {"objective": "squared_norm", "batch_size": 64, "equal_batches": False}
    assert seen == [
        ("mean_squared_gradients", 200, loss),
        ("mean_squared_gradients", 23, loss),
        ("mean_squared_gradients", 177, loss),
        ("mean_squared_gradients", 23, loss),
        ("mean_absolute_gradients", 200, norm),
        ("mean_absolute_gradients", 23, norm),
    ]


def test_the_quantile_of_assd():
    """1 percent of the data: q = 100 - ln 2; all of it: q = 100 - ln 101."""
    assert quantile(1, 100) == pytest.approx(0.99306853, abs=1e-8)
    assert quantile(100, 100) == pytest.approx(0.95384879, abs=1e-8)
    results = [quantile(n, 100) for n in range(1, 101)]
    assert results == sorted(results, reverse=True)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9537, 0.99, 1.0])
def test_the_threshold_is_the_percentile_of_finite_ratios(share):
    generator = stream(0, "ratios")
    forget = {n: torch.rand(k, generator=generator) for n, k in (("a", (30, 7)), ("b", (11,)))}
    retain = {n: torch.rand(v.shape, generator=generator) for n, v in forget.items()}
    retain["a"][0, :3] = 0.0  # two ratios are infinite, one is 0 / 0
    forget["a"][0, 0] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.concatenate([(forget[n].numpy() / retain[n].numpy()).ravel() for n in forget])
    expected = np.percentile(ratios[np.isfinite(ratios)], 100 * share)
    assert threshold(forget, retain, share) == pytest.approx(expected, rel=1e-6)


def test_more_values_than_torch_has_a_quantile_for():
    """Of the ratios 0, 1, ..., n - 1 the quantile q is q (n - 1)."""
    size = 16_800_000
    forget = {"a": torch.arange(size, dtype=torch.float32)}
    result = threshold(forget, {"a": torch.ones(size)}, 0.75)
    assert result == pytest.approx(0.75 * (size - 1), rel=1e-6)


def test_without_a_finite_ratio_everything_with_a_gradient_is_dampened():
    assert threshold({"a": torch.ones(3)}, {"a": torch.zeros(3)}, 0.99) == 0.0


@EVERY
def test_it_works_with_many_labels(method, multilabel_task):
    task = multilabel_task()
    before = model_fingerprint(task.model)
    assert model_fingerprint(FAMILY[method]()(task)) != before


@pytest.mark.parametrize("kind", [SSD, LFSSD])
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"alpha": 0.0}, "alpha must be > 0, got 0.0"),
        ({"dampening": -1.0}, "dampening must be > 0, got -1.0"),
        ({"batch_size": 0}, "batch_size must be >= 1, got 0"),
    ],
)
def test_settings_are_checked(kind, setting, message):
    with pytest.raises(ConfigError, match=message):
        kind(**setting)


def test_the_batch_size_of_assd_is_checked():
    with pytest.raises(ConfigError, match="batch_size must be >= 1, got 0"):
        ASSD(batch_size=0)


def test_a_batch_of_one_sample_is_allowed():
    assert SSD(batch_size=1).batch_size == 1


def test_a_weight_without_an_importance_is_left_alone_and_not_counted():
    model = nn.utils.skip_init(nn.Linear, 2, 1)
    nn.init.constant_(model.weight, 1.0)
    nn.init.constant_(model.bias, 1.0)
    with torch.no_grad():
        share = dampen(
            model, {"weight": torch.tensor([[4.0, 1.0]])}, {"weight": torch.ones(1, 2)}, 2.0, 1.0
        )
    assert share == 0.5
    assert model.weight.tolist() == [[0.25, 1.0]]
    assert model.bias.item() == 1.0


STATISTICS = {
    mean_squared_gradients: lambda first, last: (first**2 + last**2) / 2,
    mean_absolute_gradients: lambda first, last: (first + last) / 2,
    summed_gradients: lambda first, last: first + last,
}


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_tail_of_one_sample_does_not_decide(statistic):
    """Of 23 gradients in batches of 22 one is 100, the others are 1.

    In equal batches of 12 and 11 it makes the second mean 10; alone it would be a mean of 100.
    """
    task = toy_task()
    slopes = torch.ones(23)
    slopes[-1] = 100.0
    place = {int(i): n for n, i in enumerate(task.forget.index)}

    def objective(model, batch):
        rows = slopes[[place[int(i)] for i in batch.ids]]
        return rows.mean() * next(model.parameters()).sum()

    for equal, tail in ((True, 110 / 11), (False, 100.0)):
        result = statistic(task.model, task.forget, 22, objective, equal=equal)
        value = next(iter(result.values()))
        expected = STATISTICS[statistic](1.0, tail)
        torch.testing.assert_close(value, torch.full_like(value, expected))


@pytest.mark.parametrize("method", FAMILY)
def test_one_batch_to_forget_is_warned_of_once(method, caplog):
    FAMILY[method](batch_size=23)(toy_task())
    assert [record.getMessage() for record in caplog.records] == [
        "all 23 samples to forget are one batch, so that their importance is that of one "
        "gradient; set unlearner.batch_size=11 or less"
    ]


@pytest.mark.parametrize("method", FAMILY)
def test_two_batches_to_forget_are_not_warned_of(method, caplog):
    FAMILY[method](batch_size=22)(toy_task())
    assert not caplog.records
