"""SalUn: which weights are chosen, that no others move, and what it is at its edges."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.fingerprint import model_fingerprint
from erasure.testing import toy_task
from erasure.unlearners.finetune import Finetune
from erasure.unlearners.random_labels import RandomLabels
from erasure.unlearners.retrain import Retrain
from erasure.unlearners.salun import SalUn, largest

MODELS = pytest.mark.parametrize("model", ["mlp", "cnn"])
OPTIONS = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}


def saliency(task, batch_size):
    """``sum_b |grad(-CE_b)|``, by hand: one batch mean after the other, in eval mode."""
    net = task.model.eval()
    terms = []
    for start in range(0, len(task.forget), batch_size):
        view = task.forget.take(torch.arange(start, min(start + batch_size, len(task.forget))))
        loss = -F.cross_entropy(net(view.pool.pool.fetch(view.index)), view.targets)
        slopes = torch.autograd.grad(loss, list(net.parameters()))
        terms.append(torch.cat([slope.flatten() for slope in slopes]))
    return torch.stack(terms).sum(dim=0).abs()


def first(values, count):
    """Mask the ``count`` largest; units that are never active make many zeros, in their order."""
    ranked = sorted(range(len(values)), key=lambda place: (-values[place].item(), place))
    mask = torch.zeros(len(values), dtype=torch.bool)
    mask[ranked[:count]] = True
    return mask


@MODELS
@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
def test_exactly_the_most_salient_weights_may_move(fit, parameters, model, ratio):
    before = parameters(toy_task(model).model)
    chosen = first(saliency(toy_task(model), 8), int(ratio * len(before)))
    inner = RandomLabels(fit=fit(**OPTIONS))
    after = parameters(SalUn(inner=inner, ratio=ratio, batch_size=8)(toy_task(model)))
    assert after[~chosen].equal(before[~chosen])
    assert (after[chosen] != before[chosen]).float().mean() > 0.99


@MODELS
def test_all_weights_give_the_inner_method(fit, model):
    inner = RandomLabels(fit=fit(**OPTIONS))
    alone = inner(toy_task(model))
    for restore in (True, False):
        ours = SalUn(inner=inner, ratio=1.0, restore=restore)(toy_task(model))
        assert model_fingerprint(ours) == model_fingerprint(alone)


def reference(task, mask, restore, *, lr, momentum, weight_decay):
    """Fine-tuning with masked gradients, in a plain loop that steps by hand."""
    net = task.model.train()
    weights = [p.detach() for p in net.parameters()]
    start = [p.clone() for p in weights]
    speed = [torch.zeros_like(p) for p in weights]
    parts = mask.split([p.numel() for p in weights])
    masks = [part.view_as(p) for part, p in zip(parts, weights, strict=True)]
    for _ in range(2):
        for batch in task.retain.batches(32, generator=task.generator):
            loss = F.cross_entropy(net(batch.inputs), batch.targets)
            result = torch.autograd.grad(loss, list(net.parameters()))
            for weight, first, pace, slope, kept in zip(
                weights, start, speed, result, masks, strict=True
            ):
                pace.mul_(momentum).add_(slope * kept + weight_decay * weight)
                weight.sub_(lr * pace)
                if restore:
                    weight.copy_(torch.where(kept, weight, first))
                    pace.mul_(kept)
    return net


@MODELS
@pytest.mark.parametrize("restore", [True, False])
def test_it_is_the_plain_loop_with_and_without_restoring(fit, parameters, model, restore):
    values = saliency(toy_task(model), 256)
    mask = first(values, len(values) // 2)
    expected = parameters(reference(toy_task(model), mask, restore, **OPTIONS))
    inner = Finetune(fit=fit(**OPTIONS))
    ours = parameters(SalUn(inner=inner, restore=restore)(toy_task(model)))
    assert (ours - expected).abs().max() < 1e-6


def test_masking_gradients_alone_lets_weight_decay_move_the_rest(fit, parameters):
    before = parameters(toy_task().model)
    inner = RandomLabels(fit=fit(**OPTIONS))
    drifted = parameters(SalUn(inner=inner, ratio=0.1, restore=False)(toy_task()))
    assert (drifted != before).float().mean() > 0.99
    still = RandomLabels(fit=fit(lr=0.05, momentum=0.9))
    kept = parameters(SalUn(inner=still, ratio=0.1, restore=False)(toy_task()))
    assert int((kept != before).sum()) <= int(0.1 * len(before))


def test_running_statistics_still_move(fit, statistics):
    before = statistics(toy_task("cnn").model)
    after = SalUn(inner=RandomLabels(fit=fit()), ratio=0.1)(toy_task("cnn"))
    assert (statistics(after) - before).abs().max() > 1e-3


def test_all_parameters_are_ranked_together_and_the_first_of_equals_wins():
    """Magnitudes 3 1 2 | 2 0 2 | 1: three of seven are the 3 and the first two of the twos."""
    values = {
        "a": torch.tensor([[-3.0, 1.0, 2.0]]),
        "b": torch.tensor([[2.0], [0.0], [-2.0]]),
        "c": torch.tensor([1.0]),
    }
    masks = largest(values, 0.45)  # int(3.15) = 3
    assert masks["a"].tolist() == [[True, False, True]]
    assert masks["b"].tolist() == [[True], [False], [False]]
    assert masks["c"].tolist() == [False]


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9, 1.0])
def test_number_of_chosen_weights(ratio):
    values = {"a": torch.arange(-50.0, 51.0), "b": torch.ones(7, 3)}
    masks = largest(values, ratio)
    assert sum(int(mask.sum()) for mask in masks.values()) == int(ratio * 122)
    assert {name: mask.shape for name, mask in masks.items()} == {"a": (101,), "b": (7, 3)}


def test_one_computation_serves_every_ratio_whatever_order_it_comes_back_in(fit):
    memory, calls = {}, []

    def cached(name, view, compute, **settings):
        key = (name, tuple(view.index.tolist()), tuple(settings.items()))
        calls.append(key)
        if key not in memory:
            memory[key] = compute()
        return dict(sorted(memory[key].items(), reverse=True))

    inner = RandomLabels(fit=fit())
    for ratio in (0.1, 0.7):
        ours = SalUn(inner=inner, ratio=ratio)
        result = ours(replace(toy_task("cnn"), cached=cached))
        assert model_fingerprint(result) == model_fingerprint(ours(toy_task("cnn")))
    assert len(memory) == 1
    assert len(calls) == 2
    SalUn(inner=inner, batch_size=8)(replace(toy_task("cnn"), cached=cached))
    assert len(memory) == 2


def test_sets_of_labels(fit, multilabel_task, parameters):
    task = multilabel_task()
    net = multilabel_task().model
    logits = net(task.forget.pool.pool.fetch(task.forget.index))
    loss = -F.binary_cross_entropy_with_logits(logits, task.forget.targets.float())
    slopes = torch.autograd.grad(loss, list(net.parameters()))
    values = torch.cat([slope.flatten().abs() for slope in slopes])
    chosen = first(values, int(0.3 * len(values)))
    before = parameters(net)
    after = parameters(SalUn(inner=RandomLabels(fit=fit()), ratio=0.3)(task))
    assert after[~chosen].equal(before[~chosen])
    assert (after != before).any()


def test_a_method_that_makes_a_new_model_cannot_be_confined():
    with pytest.raises(UnsupportedError, match=r"cannot confine Retrain.*use random_labels"):
        SalUn(inner=Retrain())(toy_task())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"ratio": 0.0}, r"ratio must be in \(0, 1\], got 0.0"),
        ({"ratio": 1.1}, r"ratio must be in \(0, 1\], got 1.1"),
        ({"batch_size": 0}, "batch_size must be >= 1, got 0"),
    ],
)
def test_settings_are_checked(fit, setting, message):
    with pytest.raises(ConfigError, match=message):
        SalUn(inner=Finetune(fit=fit()), **setting)


def test_a_confined_method_leaves_nothing_masked_in_the_cache_of_others():
    from dataclasses import replace

    from erasure.testing import toy_task
    from erasure.unlearners.ssd import SSD

    kept = {}

    def cached(name, view, compute, **settings):
        key = (name, tuple(view.index.tolist()), tuple(sorted(settings.items())))
        if key not in kept:
            kept[key] = compute()
        return kept[key]

    ssd = SSD(alpha=1.0, batch_size=64)
    SalUn(inner=ssd, ratio=0.3)(replace(toy_task(), cached=cached))
    shared = ssd(replace(toy_task(), cached=cached))
    alone = ssd(toy_task())
    for one, other in zip(shared.parameters(), alone.parameters(), strict=True):
        assert torch.equal(one, other)


def test_weights_that_are_written_without_an_optimizer_are_confined_too():
    from erasure.testing import toy_task
    from erasure.unlearners.sham import Sham

    task = toy_task()
    before = [weight.detach().clone() for weight in task.model.parameters()]
    after = SalUn(inner=Sham(relative_norm=0.5), ratio=0.1)(task)
    moved = sum(
        int((one != other).sum()) for one, other in zip(after.parameters(), before, strict=True)
    )
    assert 0 < moved <= int(0.1 * sum(weight.numel() for weight in before))
