"""Models trained together are the models that would have been trained alone."""

from functools import partial

import pytest
import torch
from torch import nn

from erasure.core.errors import DivergedError, UnsupportedError
from erasure.core.seeding import isolated, stream
from erasure.core.splits import View
from erasure.data.pools.augment import CropFlip
from erasure.models.cnn import CNN
from erasure.models.mlp import MLP
from erasure.models.resnet import resnet18
from erasure.testing.toy import toy_pool
from erasure.training.fit import Fit
from erasure.training.many.ensemble import Member, obstacle, pays_off, side_by_side, train_together
from erasure.training.many.stacked import Stacked
from erasure.training.schedules import OneCycle
from erasure.training.trainers import Standard

SHAPE, CLASSES = (1, 6, 6), 4
NETWORKS = {
    "mlp": partial(MLP, SHAPE, CLASSES, hidden=(16, 8)),
    "cnn": partial(CNN, SHAPE, CLASSES, channels=(4, 8), hidden=8),
    "resnet": partial(resnet18, SHAPE, CLASSES),
    "linear without bias": lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 4, bias=False)),
}


ADAM = partial(torch.optim.Adam, lr=0.01)


def trainer(optimizer=ADAM, **fields):
    settings = {"epochs": 3, "batch_size": 16, "schedule": OneCycle(max_lr=0.02), **fields}
    return Standard(fit=Fit(optimizer=optimizer, **settings))


def fresh(name, seed):
    with isolated(seed, "model"):
        return NETWORKS[name]()


def view_of(seed, pool=None, size=49):
    pool = pool or toy_pool()
    order = torch.randperm(200, generator=stream(seed, "half"))
    return View(pool, order[:size].sort().values)


def members(name, seeds=(0, 1, 2), **kwargs):
    return [
        Member(model=fresh(name, s), view=view_of(s, **kwargs), generator=stream(s, "train"))
        for s in seeds
    ]


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        ("mlp", partial(torch.optim.Adam, lr=0.01)),
        ("mlp", partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.01)),
        ("cnn", partial(torch.optim.SGD, lr=0.05, momentum=0.9)),
        ("linear without bias", partial(torch.optim.AdamW, lr=0.01)),
    ],
)
def test_each_is_the_model_that_training_alone_gives(name, optimizer):
    """Weights, running statistics and losses; each from its own samples in its own order."""
    together = train_together(members(name), trainer(optimizer))
    for seed, actual in enumerate(together):
        losses = []
        alone = trainer(optimizer)(
            fresh(name, seed),
            view_of(seed),
            stream(seed, "train"),
            lambda step, of, *, kept=losses, loss: kept.append(loss),
        )
        for key, value in alone.state_dict().items():
            torch.testing.assert_close(actual.model.state_dict()[key], value, rtol=2e-4, atol=2e-5)
        assert actual.curve == pytest.approx(losses, rel=1e-4)
        assert actual.steps == 9  # 49 samples in batches of 16: the last one joins the third


def test_members_differ_from_one_another():
    first, second = (
        together.model.state_dict()
        for together in train_together(members("mlp", (0, 1)), trainer())
    )
    assert not torch.equal(first["layers.1.weight"], second["layers.1.weight"])


def test_the_forward_pass_of_a_residual_network_is_that_of_each():
    models = [fresh("resnet", seed).eval() for seed in (0, 1)]
    inputs = torch.randn(2, 3, *SHAPE, generator=stream(0, "inputs"))
    stacked = Stacked(models).eval()
    with torch.no_grad():
        expected = torch.stack([model(own) for model, own in zip(models, inputs, strict=True)])
        torch.testing.assert_close(stacked(inputs), expected, rtol=1e-4, atol=1e-4)


def test_augmentation_is_drawn_as_it_would_be_alone():
    from dataclasses import replace

    pool = replace(toy_pool(), augmentation=CropFlip(padding=1, flip=True))
    together = members("mlp", pool=pool)
    batches = list(side_by_side(together, 16, augment=True).start())
    for number, member in enumerate(members("mlp", pool=pool)):
        alone = list(member.view.batches(16, generator=member.generator, augment=True))
        assert len(alone) == len(batches) == 3
        for ours, own in zip(batches, alone, strict=True):
            assert torch.equal(ours.inputs[number], own.inputs)
            assert torch.equal(ours.targets[number], own.targets)
            assert torch.equal(ours.ids[number], own.ids)


class Dropping(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(36, 4))

    def forward(self, inputs):
        return self.layers(inputs)


class Branching(nn.Module):
    def forward(self, inputs):
        return inputs if inputs.sum() > 0 else -inputs


@pytest.mark.parametrize(
    ("model", "settings", "reason"),
    [
        (Dropping(), {}, "dropout"),
        (Branching(), {}, "cannot be traced"),
        (nn.Sequential(nn.Flatten(), nn.LayerNorm(36)), {}, "LayerNorm cannot be stacked"),
        (nn.Sequential(nn.Conv2d(2, 2, 3, groups=2)), {}, "Conv2d cannot be stacked"),
        (NETWORKS["mlp"](), {"clip": 1.0}, "clipped by the norm"),
        (NETWORKS["mlp"](), {"mode": "frozen_norm"}, "frozen_norm"),
        (NETWORKS["mlp"](), {"optimizer": torch.optim.LBFGS}, "LBFGS may mix"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_what_cannot_be_stacked_is_named(model, settings, reason):
    assert reason in obstacle(model, trainer(**settings))
    one = Member(model=model, view=view_of(0), generator=stream(0, "train"))
    with pytest.raises(UnsupportedError, match=reason):
        train_together([one], trainer(**settings))


def test_stacking_pays_off_where_it_was_measured_to():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    mlp, cnn = fresh("mlp", 0), fresh("cnn", 0)
    assert pays_off(mlp, (3, 32, 32), cpu)
    assert pays_off(cnn, (1, 8, 8), cpu)
    assert not pays_off(cnn, (3, 32, 32), cpu)
    assert pays_off(cnn, (3, 32, 32), gpu)


def test_training_sets_of_different_sizes_are_refused():
    pair = members("mlp", (0,)) + members("mlp", (1,), size=48)
    with pytest.raises(ValueError, match="one size"):
        train_together(pair, trainer())


def test_one_that_diverges_is_told_by_its_number():
    group = members("mlp")
    with torch.no_grad():
        next(group[1].model.parameters()).fill_(torch.inf)
    with pytest.raises(DivergedError):
        train_together(group, trainer())


@pytest.mark.parametrize(
    ("layer", "settings"),
    [
        (
            nn.Conv2d,
            {"out_channels": 2, "kernel_size": 3, "padding_mode": "circular", "padding": 1},
        ),
        (nn.Conv2d, {"out_channels": 2, "kernel_size": 3, "groups": 2}),
        (nn.BatchNorm2d, {"track_running_stats": False}),
        (nn.BatchNorm2d, {"momentum": None}),
        (nn.BatchNorm2d, {"affine": False}),
    ],
)
def test_layers_that_would_compute_something_else_are_refused(layer, settings):
    with isolated(0, "layer"):
        model = nn.Sequential(layer(2, **settings), nn.Flatten())
    assert obstacle(model, trainer()) == f"{layer.__name__} cannot be stacked"
