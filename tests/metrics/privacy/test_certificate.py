"""What a method proves, beside what an attack shows."""

import math
from dataclasses import replace

import pytest
import torch
from reference_tables import crafted, normal
from torch import nn

from erasure.core.errors import ConfigError, ErasureError
from erasure.core.seeding import isolated
from erasure.evaluation.evaluator import Evaluator
from erasure.evaluation.measure import measure
from erasure.metrics.privacy.certificate import (
    Certificate,
    accuracy_bound,
    epsilon_at,
    epsilon_lower_bound,
    tpr_bound,
)
from erasure.testing.toy import toy_context

REPORTED = {
    "reported/epsilon": 1.0,
    "reported/delta": 1e-4,
    "reported/spent": 0.25,
    "reported/bound": 0.01,
    "reported/retrained": 0.0,
}


def test_a_certificate_bounds_every_attack():
    assert tpr_bound(1.0, 1e-5, 0.001) == pytest.approx(0.002728, abs=1e-6)
    assert tpr_bound(1.0, 1e-5, 0.01) == pytest.approx(0.027193, abs=1e-6)
    assert accuracy_bound(1.0, 1e-5) == pytest.approx(0.731061, abs=1e-6)
    assert tpr_bound(0.0, 0.0, 0.3) == 0.3
    assert tpr_bound(9.0, 0.0, 0.3) == 1.0
    assert accuracy_bound(0.0, 0.0) == 0.5


def test_epsilon_of_error_rates():
    assert epsilon_at(0.1, 0.2, 1e-5) == pytest.approx(2.079429, abs=1e-5)
    assert epsilon_at(0.02, 0.3, 1e-5) == pytest.approx(3.555, abs=1e-3)
    assert epsilon_at(0.5, 0.5, 1e-5) == 0.0
    assert epsilon_at(1.0, 1.0, 1e-5) == 0.0
    assert epsilon_at(0.0, 0.0, 1e-5) == math.inf
    assert epsilon_lower_bound((2, 30), (100, 100), 1e-5) == pytest.approx(2.143, abs=1e-3)
    assert 0 < epsilon_lower_bound((0, 0), (50, 50), 1e-5) < math.inf


def test_a_model_with_the_weights_of_gold_is_exact():
    ctx = toy_context()
    ctx = replace(ctx, models={**ctx.models, "unlearned": ctx.models["gold"]})
    results = measure(Certificate(), ctx)
    assert {
        name: results[f"certificate/{name}"].value for name in ("exact", "epsilon", "delta")
    } == {
        "exact": 1.0,
        "epsilon": 0.0,
        "delta": 0.0,
    }
    assert results["certificate/epsilon"].extras["notion"] == "exact"


def test_what_a_method_reported_last_is_its_certificate():
    ctx = toy_context()
    results = measure(Certificate(), replace(ctx, costs={**ctx.costs, **REPORTED}))
    epsilon = results["certificate/epsilon"]
    assert epsilon.value == 0.25
    assert epsilon.extras["scope"] == "head"  # its features were trained on the forget set
    assert epsilon.extras["accuracy_bound"] == accuracy_bound(0.25, 1e-4)
    assert epsilon.extras["reported"]["bound"] == 0.01
    assert results["certificate/delta"].value == 1e-4
    assert results["certificate/exact"].value == 0.0


def test_with_nothing_but_a_head_the_certificate_holds_for_the_model():
    ctx = toy_context()
    with isolated(0, "head"):
        alone = nn.Sequential(nn.Flatten(), nn.Linear(36, 4))
    models = {**ctx.models, "original": alone}
    results = measure(Certificate(), replace(ctx, models=models, costs=REPORTED))
    assert results["certificate/epsilon"].extras["scope"] == "model"


def test_most_methods_prove_nothing(random_ctx):
    results = measure(Certificate(), random_ctx())
    assert results["certificate/epsilon"].reason == "no_certificate"
    assert results["certificate/delta"].reason == "no_certificate"
    assert results["certificate/empirical_epsilon"].reason == "missing_references"
    assert measure(Certificate(), random_ctx().of("gold")) == {}
    alone = measure(Certificate(), random_ctx(roles=("unlearned",)))
    assert alone["certificate/exact"].reason == "missing_gold"


def pool(make_ctx, shift, count=40, **options):
    sizes = {"forget": 20}
    margins = {
        role: {part: normal(count, n, seed=seed, mean=mean) for part, n in sizes.items()}
        for seed, (role, mean) in enumerate((("unlearned", shift), ("gold", 0.0)))
    }
    return crafted(make_ctx, margins, **options)


def test_an_attack_on_models_shows_how_far_apart_they_are(make_ctx):
    epsilons = [
        measure(Certificate(), pool(make_ctx, shift))["certificate/empirical_epsilon"].value
        for shift in (0.0, 0.5, -3.0)
    ]
    assert epsilons[0] < 0.2
    assert epsilons[0] < epsilons[1] < epsilons[2]
    assert epsilons[2] == epsilon_lower_bound((0, 0), (20, 20), 1e-5)


def test_too_few_models_show_nothing(make_ctx):
    results = measure(Certificate(), pool(make_ctx, 0.0, count=15))
    assert results["certificate/empirical_epsilon"].reason == "too_few"


def test_an_attack_that_contradicts_exact_unlearning_fails_the_trial(make_ctx):
    ctx = pool(make_ctx, 3.0)
    gold = ctx.models["gold"]
    ctx = replace(ctx, models={"unlearned": gold, "gold": gold})
    with pytest.raises(ErasureError, match="exact unlearning is contradicted"):
        measure(Certificate(), ctx)
    assert Evaluator(metrics={"c": Certificate()})(ctx).errors
    same = pool(make_ctx, 0.0)
    assert measure(Certificate(), replace(same, models={"unlearned": gold, "gold": gold}))


def test_a_certificate_with_noise_is_not_refuted_by_models_without(make_ctx):
    ctx = replace(pool(make_ctx, 3.0), costs=REPORTED)
    results = measure(Certificate(), ctx)
    assert results["certificate/epsilon"].value == 0.25
    assert results["certificate/empirical_epsilon"].value > 0.25
    assert results["certificate/empirical_epsilon"].extras["delta"] == 1e-4


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"delta": 0.0}, r"delta must be in \(0, 1\), got 0.0"),
        ({"min_models": 1}, "min_models must be >= 2, got 1"),
    ],
)
def test_settings_out_of_range_are_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        Certificate(**setting)
    assert torch.is_grad_enabled()
