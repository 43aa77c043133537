from dataclasses import replace

import pytest
import torch
from sklearn.svm import SVC

from erasure.core.errors import ConfigError
from erasure.core.task_types import Multilabel
from erasure.evaluation.measure import meanings, measure
from erasure.metrics.privacy.mia_efficacy_svc import FEATURES, SCALARS, MIAEfficacySVC

SVC_NAME, FAST_NAME = "mia_efficacy_svc/confidence", "mia_efficacy_svc/threshold/confidence"


def confident(values):
    """Samples of class 0 out of two, predicted with the given probabilities."""
    confidence = torch.tensor(values, dtype=torch.float64)
    logits = torch.stack([confidence, 1 - confidence], dim=-1).log()
    return torch.zeros(len(confidence), dtype=torch.int64), {"unlearned": logits}


@pytest.fixture
def worked(make_ctx):
    return make_ctx(
        {
            "forget": confident([0.95, 0.9, 0.2, 0.05]),
            "retain": confident([0.99] * 10),
            "test": confident([0.10] * 10),
        }
    )


def test_worked_example_of_the_support_vector_machine(worked):
    results = measure(MIAEfficacySVC(min_n=10), worked)
    assert set(results) == {SVC_NAME}
    assert results[SVC_NAME].value == 0.5
    assert results[SVC_NAME].n == 4
    assert results[SVC_NAME].extras["n_attack"] == 10


def test_the_fast_form_has_another_name_and_another_rule(worked):
    results = measure(MIAEfficacySVC(min_n=10, impl="threshold"), worked)
    assert set(results) == {FAST_NAME}
    assert results[FAST_NAME].value == 1.0  # none is as confident as the members it has seen


@pytest.mark.parametrize("feature", FEATURES)
def test_the_machine_is_that_of_scikit_learn_on_all_samples(random_ctx, feature):
    """Sharing the weight of equal samples changes nothing."""
    ctx = random_ctx()
    results = measure(MIAEfficacySVC(features=[feature], n_attack=40), ctx)
    metric = MIAEfficacySVC(features=[feature], n_attack=40)
    retain, heldout = metric._training(ctx, feature)
    model = SVC(C=3, gamma="auto", kernel="rbf", random_state=0)
    model.fit(torch.cat([retain, heldout]).numpy(), [1] * 40 + [0] * 40)
    from erasure.metrics.privacy.mia_efficacy_svc import _rows

    unseen = (model.predict(_rows(ctx, "forget", feature).numpy()) == 0).mean()
    assert results[f"mia_efficacy_svc/{feature}"].value == pytest.approx(unseen, abs=1e-12)


def test_efficacy_by_correctness_is_the_forget_error(make_ctx):
    generator = torch.Generator().manual_seed(0)
    right = {"forget": 0.7, "retain": 0.95, "test": 0.6}
    parts = {
        name: confident(
            torch.where(torch.rand(200, generator=generator) < share, 0.9, 0.1).tolist()
        )
        for name, share in right.items()
    }
    ctx = make_ctx(parts)
    error = 1 - ctx.task_type.correct(ctx.logits("forget"), ctx.targets("forget")).double().mean()
    for impl, name in (("svc", "correctness"), ("threshold", "threshold/correctness")):
        results = measure(MIAEfficacySVC(features=["correctness"], impl=impl), ctx)
        assert results[f"mia_efficacy_svc/{name}"].value == pytest.approx(error.item(), abs=1e-12)


def test_the_attack_set_is_drawn_once_for_all_models_and_features(random_ctx):
    ctx = random_ctx()
    small = MIAEfficacySVC(features=SCALARS, n_attack=25)
    results = {who: measure(small, ctx.of(who)) for who in ("unlearned", "gold")}
    assert {m.extras["n_attack"] for values in results.values() for m in values.values()} == {25}
    same = replace(ctx, models={"gold": ctx.models["unlearned"]}, _cache={})
    assert measure(small, same.of("gold")) == results["unlearned"]
    other = measure(MIAEfficacySVC(features=SCALARS, n_attack=25), replace(ctx, seed=1))
    assert other != results["unlearned"]


def test_an_attack_that_saw_nothing_but_equal_samples_guesses(make_ctx):
    parts = {name: confident([0.8] * 30) for name in ("retain", "test")}
    ctx = make_ctx({**parts, "forget": confident([0.1, 0.9])})
    for impl, name in (("svc", SVC_NAME), ("threshold", FAST_NAME)):
        results = measure(MIAEfficacySVC(impl=impl, training_privacy=True), ctx)
        assert results[name].value == 0.5
        assert results[name].extras["constant_score"] is True
        private = name.replace("confidence", "training_privacy/confidence")
        assert results[private].value == 0.5


@pytest.mark.parametrize("impl", ["svc", "threshold"])
def test_training_privacy_is_scored_on_the_other_half(make_ctx, impl):
    generator = torch.Generator().manual_seed(0)
    retain, test = (
        (low + 0.2 * torch.rand(100, generator=generator)).tolist() for low in (0.75, 0.25)
    )
    ctx = make_ctx(
        {"forget": confident([0.5] * 5), "retain": confident(retain), "test": confident(test)}
    )
    results = measure(MIAEfficacySVC(impl=impl, training_privacy=True), ctx)
    (private,) = (value for name, value in results.items() if "training_privacy" in name)
    assert private.value > 0.95
    assert private.extras["n_members"] == 50
    assert set(results) == set(meanings(MIAEfficacySVC(impl=impl, training_privacy=True), "test"))


def test_few_samples_and_several_labels_have_no_value(random_ctx):
    ctx = random_ctx()
    assert measure(MIAEfficacySVC(min_n=61, n_attack=80), ctx)[SVC_NAME].reason == "too_few"
    several = measure(MIAEfficacySVC(), replace(ctx, task_type=Multilabel()))
    assert several[SVC_NAME].reason == "needs_multiclass"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"impl": "linear"}, "impl must be svc or threshold, got 'linear'"),
        ({"features": []}, "features must be distinct"),
        ({"features": ["loss"]}, "features must be distinct"),
        ({"features": ["entropy", "entropy"]}, "features must be distinct"),
        ({"features": ["probabilities"], "impl": "threshold"}, "features must be distinct"),
        ({"min_n": 1}, "min_n must be >= 2, got 1"),
        ({"n_attack": 10}, "n_attack must be >= min_n, got 10 < 20"),
    ],
)
def test_bad_settings_are_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        MIAEfficacySVC(**setting)
