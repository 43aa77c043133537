import math
from dataclasses import replace
from statistics import NormalDist

import pytest
import torch
from reasons import reasons
from reference_tables import balanced_halves, with_references

from erasure.core.errors import ConfigError
from erasure.core.values import NotComputableError
from erasure.evaluation.measure import meanings, measure
from erasure.evaluation.statistics.roc import auc, best_balanced_accuracy, hits_at, roc
from erasure.metrics.privacy.mia_lira import Gaussians, MIALiRA, gaussians, likelihood_ratio

NORMAL = NormalDist()
SIZES = {"forget": 120, "retain": 20, "val": 20, "test": 150}


def unit(mean, n):
    return Gaussians(torch.full((n,), mean).double(), torch.ones(n).double(), torch.ones(n), 0)


def test_worked_likelihood_ratio():
    scores = likelihood_ratio(torch.tensor([1.5, 0.0]).double(), unit(2.0, 2), unit(0.0, 2))
    assert scores.tolist() == pytest.approx([1.0, -2.0], abs=1e-12)  # 2 x - 2
    assert torch.sigmoid(scores)[0].item() == pytest.approx(0.731059, abs=1e-6)
    assert NORMAL.cdf(1.5) == pytest.approx(0.933193, abs=1e-6)


def test_worked_roc_of_two_gaussians():
    """Quantiles in place of draws: no sampling noise."""
    n = 200_000
    grid = (torch.arange(n).double() + 0.5) / n
    normal = torch.special.ndtri(grid)
    scores = [likelihood_ratio(x, unit(2.0, n), unit(0.0, n)) for x in (normal + 2, normal)]
    curve = roc(*scores)
    assert auc(curve) == pytest.approx(0.921350, abs=1e-5)
    assert best_balanced_accuracy(curve)[0] == pytest.approx(0.841345, abs=5e-5)
    for fpr, tpr in ((0.1, 0.763760), (0.05, 0.638760), (0.01, 0.372081), (0.001, 0.137805)):
        assert hits_at(curve, fpr) / n == pytest.approx(tpr, abs=1e-3)


def test_equal_gaussians_score_zero():
    values = torch.randn(50, generator=torch.Generator().manual_seed(0)).double()
    scores = likelihood_ratio(values, unit(1.0, 50), unit(1.0, 50))
    assert scores.tolist() == [0.0] * 50


def test_moments_are_those_of_the_chosen_models():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(20, 7, generator=generator).double()
    chosen = torch.rand(20, 7, generator=generator) < 0.6
    fitted = gaussians(values, chosen, variance="own")
    for sample in range(7):
        chosen_values = values[chosen[:, sample], sample]
        assert fitted.mean[sample].item() == pytest.approx(chosen_values.mean().item(), abs=1e-12)
        assert fitted.variance[sample].item() == pytest.approx(
            chosen_values.var().item(), abs=1e-12
        )
        assert fitted.models[sample].item() == len(chosen_values)


def test_pooled_variance_is_the_mean_and_auto_pools_few_models():
    values = torch.randn(8, 30, generator=torch.Generator().manual_seed(0)).double()
    every = torch.ones(8, 30).bool()
    pooled, own, auto = (gaussians(values, every, variance=v) for v in ("pooled", "own", "auto"))
    assert pooled.variance.tolist() == pytest.approx([own.variance.mean().item()] * 30, abs=1e-12)
    assert torch.equal(auto.variance, pooled.variance)
    many = torch.randn(64, 3, generator=torch.Generator().manual_seed(0)).double()
    auto = gaussians(many, torch.ones(64, 3).bool(), variance="auto")
    assert auto.variance.tolist() == pytest.approx(many.var(dim=0).tolist(), abs=1e-12)


def test_a_constant_sample_has_a_floor_and_constant_models_have_no_value():
    values = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)).double()
    values[:, 1] = 2.0
    every = torch.ones(6, 3).bool()
    fitted = gaussians(values, every, variance="own")
    pooled = gaussians(values, every, variance="pooled").variance[0].item()
    assert fitted.variance[1].item() == pytest.approx(1e-6 * pooled)
    assert fitted.raised == 1
    with pytest.raises(NotComputableError, match="constant_references"):
        gaussians(torch.ones(6, 3).double(), every, variance="own")
    with pytest.raises(NotComputableError, match="too_few_models"):
        gaussians(values[:3], every[:3], variance="own")


@pytest.mark.parametrize(("variance", "expected"), [("own", 0.7142), ("pooled", 0.7142)])
def test_the_attack_reaches_what_theory_says(variance, expected):
    """4000 samples of difficulty N(0, 3), seen ones 0.8 deviations higher; 128 models a side."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    difficulty = 3 * drawn(4000)
    values = difficulty + drawn(256, 4000)
    seen = (torch.arange(256) < 128).unsqueeze(1).expand(256, 4000)
    values[:128] += 0.8
    targets = difficulty + drawn(20, 4000)
    fitted = [gaussians(values, side, variance=variance) for side in (seen, ~seen)]
    inside, outside = (likelihood_ratio(targets + shift, *fitted) for shift in (0.8, 0.0))
    area = auc(roc(inside.flatten(), outside.flatten()))
    assert area == pytest.approx(expected, abs=0.006)
    assert expected == pytest.approx(NORMAL.cdf(0.8 / math.sqrt(2)), abs=1e-4)
    # A threshold for all samples sees hardly anything: Phi(0.8 / sqrt(20)).
    blind = auc(roc((targets + 0.8).flatten(), targets.flatten()))
    assert blind == pytest.approx(NORMAL.cdf(0.8 / math.sqrt(20)), abs=0.006)


@pytest.fixture
def make_pool(make_ctx):
    """Samples of different difficulty; who saw a sample has log-odds higher by two."""

    def make(shift=2.0, models=12, seed=0):
        generator = torch.Generator().manual_seed(seed)
        total = sum(SIZES.values())
        difficulty = 3 * torch.randn(total, generator=generator)

        def logits(*shape, plus=0.0):
            phi = difficulty + torch.randn(*shape, total, generator=generator) + plus
            return torch.stack([phi, torch.zeros_like(phi)], dim=-1)

        forget = (torch.arange(total) < SIZES["forget"]).float()
        tables = {"unlearned": logits(plus=shift * forget), "gold": logits()}
        parts, start = {}, 0
        for name, size in SIZES.items():
            rows = {who: table[start : start + size] for who, table in tables.items()}
            parts[name] = (torch.zeros(size, dtype=torch.int64), rows)
            start += size
        seen = balanced_halves(models, total, generator)
        pool = {"gold": logits(models), "shadow": logits(models, plus=2.0 * seen)}
        return with_references(make_ctx(parts), pool, {"shadow": seen})

    return make


SETTINGS = [("offline", "gold"), ("offline", "shadow"), ("online", "shadow")]


@pytest.mark.parametrize(("mode", "references"), SETTINGS)
@pytest.mark.parametrize("variance", ["own", "pooled"])
def test_what_is_left_is_found_and_gold_is_at_chance(make_pool, mode, references, variance):
    ctx = make_pool(models=16)
    attack = MIALiRA(mode=mode, references=references, variance=variance)
    name = f"mia_lira/{mode}/auc"
    result, null = (measure(attack, each)[name] for each in (ctx, ctx.of("gold")))
    assert result.value > 0.78
    assert abs(null.value - 0.5) < 3 * null.extras["null_error"]
    assert result.extras["models_out"] >= 4
    assert set(measure(attack, ctx)) == set(meanings(attack, "test"))


def test_without_a_pool_there_is_no_value(make_pool):
    ctx = replace(make_pool(), references=None)
    for references in ("gold", "shadow"):
        assert reasons(MIALiRA(references=references), ctx) == {
            f"missing_references_of_{references}"
        }
        assert MIALiRA(references=references).needs_roles == (references,)


def test_online_needs_models_on_both_sides_of_every_sample(make_pool):
    assert reasons(MIALiRA(mode="online", references="shadow"), make_pool(models=6)) == {
        "too_few_models"
    }


def test_a_sample_with_few_models_has_no_variance_of_its_own_but_a_pooled_one(make_pool):
    ctx = make_pool(models=16)
    ctx.references.seen["shadow"][:13, 5] = True
    own, pooled = (MIALiRA(references="shadow", variance=v) for v in ("own", "pooled"))
    assert reasons(own, ctx) == {"too_few_models"}
    assert measure(pooled, ctx)["mia_lira/offline/auc"].extras["models_out"] <= 3
    ctx.references.seen["shadow"][:, 5] = True
    assert reasons(pooled, ctx) == {"too_few_models"}


def test_what_is_cut_off_is_counted(make_pool):
    ctx = make_pool()
    ctx.models["unlearned"].table.data[:3, 0] = 500.0
    result = measure(MIALiRA(), replace(ctx, _cache={}))["mia_lira/offline/auc"]
    assert result.extras["cut_off"] == 3


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"mode": "both"}, "mode must be offline or online, got 'both'"),
        ({"references": "original"}, "references must be gold or shadow, got 'original'"),
        ({"mode": "online"}, "mode must be offline for references=gold"),
        ({"variance": "fixed"}, "variance must be auto, own or pooled, got 'fixed'"),
        ({"min_n": 1}, "min_n must be >= 2, got 1"),
    ],
)
def test_bad_settings_are_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        MIALiRA(**setting)
