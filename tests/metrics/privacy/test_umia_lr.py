from dataclasses import replace

import numpy as np
import pytest
import torch

from erasure.core.errors import ConfigError
from erasure.core.task_types import Multilabel
from erasure.evaluation.measure import measure
from erasure.metrics.privacy.umia_lr import UMIALR

NAMES = ("umia_lr/accuracy", "umia_lr/auc", "umia_lr/starting_kit/accuracy")


def with_losses(values):
    """Samples of class 0 out of three whose cross-entropy is as given."""
    confidence = (-torch.as_tensor(values, dtype=torch.float64)).exp().unsqueeze(-1)
    rest = ((1 - confidence) / 2).expand(-1, 2)
    logits = torch.cat([confidence, rest], dim=-1).log()
    return torch.zeros(len(confidence), dtype=torch.int64), {"unlearned": logits}


def attacked(make_ctx, members, others, **settings):
    ctx = make_ctx({"forget": with_losses(members), "test": with_losses(others)})
    return measure(UMIALR(**settings), ctx)


def test_worked_exponential_losses(make_ctx):
    rng = np.random.default_rng(0)
    members, others = rng.exponential(0.2, 1000), rng.exponential(0.4, 1000)
    results = attacked(make_ctx, members, others)
    # The best rule has accuracy 0.625, the true AUC is 2/3.
    assert results["umia_lr/starting_kit/accuracy"].value == pytest.approx(0.625, abs=0.02)
    assert results["umia_lr/accuracy"].value == pytest.approx(0.625, abs=0.011)
    assert results["umia_lr/auc"].value == pytest.approx(2 / 3, abs=3 * 0.0129)
    assert results["umia_lr/accuracy"].ci_low < 0.625 < results["umia_lr/accuracy"].ci_high


def test_the_starting_kit_on_given_losses_is_the_published_number(monkeypatch, make_ctx):
    from erasure.metrics.privacy import umia_lr

    rng = np.random.default_rng(0)
    losses = torch.from_numpy(
        np.concatenate([rng.exponential(0.2, 1000), rng.exponential(0.4, 1000)])
    )
    sides = umia_lr.AttackSides(losses, torch.arange(2000) < 1000)
    monkeypatch.setattr(umia_lr, "balanced_losses", lambda _ctx, _min_n: sides)
    ctx = make_ctx({"forget": with_losses([1.0] * 20), "test": with_losses([1.0] * 20)})
    result = measure(UMIALR(protocols=["starting_kit"]), ctx)["umia_lr/starting_kit/accuracy"]
    assert result.value == pytest.approx(0.6215, abs=1e-6)
    assert result.extras["split_sd"] == pytest.approx(0.0363, abs=5e-5)


def test_a_constant_loss_is_chance(make_ctx):
    results = attacked(make_ctx, [0.7] * 23, [0.7] * 31)
    assert [results[name].value for name in NAMES] == [0.5, 0.5, 0.5]
    assert results[NAMES[2]].extras["constant_score"] is True


def test_perfect_separation_is_found(make_ctx):
    results = attacked(make_ctx, [0.001] * 15, [5.0] * 25)
    assert [results[name].value for name in NAMES] == [1.0, 1.0, 1.0]


def test_the_larger_side_is_cut_down(make_ctx):
    results = attacked(make_ctx, [0.1] * 12, [1.0] * 50)
    assert results["umia_lr/accuracy"].n == 24
    assert results["umia_lr/starting_kit/accuracy"].extras["n_per_side"] == 12


def test_losses_on_both_sides_are_seen_with_a_second_feature(make_ctx):
    generator = torch.Generator().manual_seed(0)
    others = 1.0 + 0.05 * torch.rand(200, generator=generator)
    members = torch.cat([0.5 * torch.ones(100), 1.5 * torch.ones(100)])
    one = attacked(make_ctx, members, others)["umia_lr/accuracy"].value
    two = attacked(make_ctx, members, others, two_sided=True)["umia_lr/accuracy"].value
    assert one < 0.8
    assert two == 1.0


def test_the_clip_removes_outliers(make_ctx):
    generator = torch.Generator().manual_seed(0)
    members, others = (torch.rand(100, generator=generator) + shift for shift in (0.0, 0.6))
    others = torch.cat([others, torch.tensor([500.0])])
    table = with_losses(others.clamp(max=50.0))
    far = table[1]["unlearned"]
    far[-1] = torch.tensor([-1e4, 0.0, 0.0])
    ctx = make_ctx({"forget": with_losses(members), "test": table})
    assert measure(UMIALR(clip=3.0), ctx)["umia_lr/accuracy"].value > 0.7


def test_few_samples_are_too_few(make_ctx):
    assert {m.reason for m in attacked(make_ctx, [0.1] * 9, [1.0] * 50).values()} == {"too_few"}


def test_several_labels_are_attacked_by_their_loss(make_ctx):
    generator = torch.Generator().manual_seed(0)
    parts = {
        name: (
            torch.randint(2, (60, 3), generator=generator),
            {"unlearned": torch.randn(60, 3, generator=generator)},
        )
        for name in ("forget", "retain", "val", "test")
    }
    ctx = replace(make_ctx(parts), task_type=Multilabel())
    assert all(value.status == "ok" for value in measure(UMIALR(), ctx).values())


def test_only_the_protocols_that_were_asked_for_are_run(random_ctx):
    assert set(measure(UMIALR(protocols=["kfold"]), random_ctx())) == set(NAMES[:2])
    assert set(measure(UMIALR(protocols=["starting_kit"]), random_ctx())) == {NAMES[2]}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"protocols": []}, "protocols must be"),
        ({"protocols": ["loo"]}, "protocols must be"),
        ({"protocols": ["kfold", "kfold"]}, "protocols must be"),
        ({"clip": 0.0}, "clip must be > 0, got 0.0"),
        ({"min_n": 9}, "min_n must be >= 10, got 9"),
    ],
)
def test_bad_settings_are_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        UMIALR(**setting)
