from dataclasses import replace
from statistics import NormalDist

import pytest
import torch
from reasons import reasons
from sklearn.linear_model import Ridge

from erasure.core.errors import ConfigError
from erasure.core.task_types import Multilabel
from erasure.evaluation.measure import meanings, measure
from erasure.metrics.privacy.mia_quantile import (
    MIAQuantile,
    _factor,
    _left_out,
    _solved,
    fit_gaussian_head,
)

SIZES = {"forget": 600, "retain": 20, "val": 20, "test": 2000}
DIMENSIONS = 5


@pytest.fixture(scope="module")
def features():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(sum(SIZES.values()), DIMENSIONS, generator=generator)


@pytest.fixture
def make_hard(make_ctx, features):
    """Margins whose mean and spread depend on the features, higher by ``shift`` if forgotten."""

    def make(shift):
        generator = torch.Generator().manual_seed(1)
        noise = torch.randn(len(features), generator=generator)
        margin = 3 * features[:, 0] - features[:, 1] + (0.5 * features[:, 2]).exp() * noise
        margin[: SIZES["forget"]] += shift
        logits = torch.stack([margin, torch.zeros_like(margin)], dim=-1)
        parts, start, recorded = {}, 0, {}
        for name, size in SIZES.items():
            cut = slice(start, start + size)
            parts[name] = (torch.zeros(size, dtype=torch.int64), {"unlearned": logits[cut]})
            recorded[(name, "unlearned")] = features[cut]
            start += size
        ctx = make_ctx(parts)
        return replace(ctx, _features=recorded)

    return make


def test_the_mean_is_a_ridge_regression_and_residuals_are_left_out():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 4, generator=generator, dtype=torch.float64)
    y = x[:, 0] + 0.3 * torch.randn(60, generator=generator, dtype=torch.float64)
    rows = torch.cat([x, torch.ones(60, 1, dtype=torch.float64)], dim=1)
    even = torch.ones(60, dtype=torch.float64)
    factor = _factor(rows, even, 0.05)
    fitted = _solved(factor, rows, y)
    residuals = _left_out(factor, rows, even, y - rows @ fitted)
    model = Ridge(alpha=0.05 * 60).fit(x.numpy(), y.numpy())
    assert fitted[:4].tolist() == pytest.approx(model.coef_.tolist(), abs=1e-10)
    assert fitted[4].item() == pytest.approx(model.intercept_, abs=1e-10)
    rest = torch.arange(60) != 7
    without = Ridge(alpha=0.05 * 60).fit(x[rest].numpy(), y[rest].numpy())
    left_out = (y[7] - without.predict(x[7:8].numpy())[0]).item()
    assert residuals[7].item() == pytest.approx(left_out, abs=1e-10)


def test_standardized_values_are_standard_normal_where_the_model_is_right():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6000, 3, generator=generator, dtype=torch.float64)
    noise = torch.randn(6000, generator=generator, dtype=torch.float64)
    y = 2 + x[:, 0] + (0.7 * x[:, 1]).exp() * noise
    head = fit_gaussian_head(x[:4000], y[:4000], 1e-6)
    standardized = head.standardized(x[4000:], y[4000:])
    assert standardized.mean().item() == pytest.approx(0.0, abs=0.07)
    assert standardized.std().item() == pytest.approx(1.0, abs=0.05)
    assert torch.corrcoef(torch.stack([standardized, noise[4000:]]))[0, 1].item() > 0.99


def test_no_leak_is_at_the_nominal_rates(make_hard):
    results = measure(MIAQuantile(), make_hard(0.0))
    assert set(results) == set(meanings(MIAQuantile(), "test"))
    assert abs(results["mia_quantile/auc"].value - 0.5) < 3 * 0.0135
    for name in ("mia_quantile/tpr_at_1_fpr", "mia_quantile/empirical_fpr_at_1_fpr"):
        assert results[name].ci_low < 0.015
        assert results[name].ci_high > 0.005
    assert results["mia_quantile/empirical_fpr_at_1_fpr"].n == 2000
    assert results["mia_quantile/empirical_fpr_at_0.1_fpr"].value < 0.005


def test_a_shift_is_found_as_theory_says(make_hard):
    """In its own deviations the shift is 2 exp(-x / 2) for a standard normal x."""
    results = measure(MIAQuantile(), make_hard(2.0))
    normal, x = NormalDist(), torch.special.ndtri((torch.arange(4000).double() + 0.5) / 4000)
    shift = 2 * (-0.5 * x).exp()
    tpr = torch.special.ndtr(shift - normal.inv_cdf(0.99)).mean().item()
    best = torch.special.ndtr(shift / 2**0.5).mean().item()
    assert results["mia_quantile/tpr_at_1_fpr"].value == pytest.approx(tpr, abs=0.06)
    assert results["mia_quantile/auc"].value == pytest.approx(best, abs=0.02)


@pytest.mark.slow
def test_boosted_quantiles_find_it_too(make_hard):
    attack = MIAQuantile(head="boosting", folds=2)
    results = measure(attack, make_hard(4.0))
    assert set(results) == set(meanings(attack, "test"))
    assert "mia_quantile/auc" not in results
    assert results["mia_quantile/tpr_at_1_fpr"].value > 0.3
    assert results["mia_quantile/empirical_fpr_at_1_fpr"].value < 0.05
    assert results["mia_quantile/tpr_at_0.1_fpr"].extras["unreliable"] is True


def test_features_and_enough_samples_are_needed(make_hard):
    ctx = make_hard(0.0)
    assert reasons(MIAQuantile(), replace(ctx, _features={})) == {"no_features"}
    assert reasons(MIAQuantile(min_heldout=2001), ctx) == {"too_few"}
    assert reasons(MIAQuantile(), replace(ctx, task_type=Multilabel())) == {"needs_multiclass"}
    assert MIAQuantile.needs_features is True


def test_more_features_than_samples_still_give_a_value(make_ctx):
    generator = torch.Generator().manual_seed(0)
    parts, recorded = {}, {}
    for name, size in {"forget": 30, "test": 40}.items():
        labels = torch.zeros(size, dtype=torch.int64)
        parts[name] = (labels, {"unlearned": torch.randn(size, 2, generator=generator)})
        recorded[(name, "unlearned")] = torch.randn(size, 90, generator=generator)
    recorded[("test", "unlearned")][:, 0] = 1.0  # a unit that is never off
    ctx = replace(make_ctx(parts), _features=recorded)
    results = measure(MIAQuantile(min_heldout=40), ctx)
    assert all(value.status == "ok" for value in results.values())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"head": "mlp"}, "head must be gaussian or boosting, got 'mlp'"),
        ({"folds": 1}, "folds must be >= 2, got 1"),
        ({"ridge": 0.0}, "ridge must be > 0, got 0.0"),
        ({"min_heldout": 5}, "min_heldout must be >= 20, got 5"),
        ({"min_n": 1}, "min_n must be >= 2, got 1"),
    ],
)
def test_bad_settings_are_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        MIAQuantile(**setting)
