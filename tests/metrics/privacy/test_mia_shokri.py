from dataclasses import replace

import pytest
import torch
from reasons import reasons
from reference_tables import with_references

from erasure.core.errors import ConfigError
from erasure.core.task_types import Multilabel
from erasure.core.values import NotComputableError
from erasure.evaluation.measure import meanings, measure
from erasure.metrics.privacy.mia_shokri import MIAShokri, forgetting_rate

SIZES = {"forget": 100, "retain": 150, "val": 20, "test": 100}
RATE, AUC, ACCURACY = (
    f"mia_shokri/{name}" for name in ("forgetting_rate", "attack_auc", "attack_balanced_accuracy")
)


@pytest.fixture
def make_shadowed(make_ctx):
    """Models that are confident on what they saw, by ``signal``."""

    def make(signal=4.0, shadows=8):
        generator = torch.Generator().manual_seed(0)
        total = sum(SIZES.values())
        labels = torch.randint(3, (total,), generator=generator)
        true = torch.nn.functional.one_hot(labels, 3).float()

        def logits(seen):
            noise = torch.randn(*seen.shape, 3, generator=generator)
            return noise + true * (1.0 + signal * seen.float().unsqueeze(-1))

        trained = torch.arange(total) < SIZES["forget"] + SIZES["retain"]
        kept = trained & (torch.arange(total) >= SIZES["forget"])
        tables = {
            "original": logits(trained),
            "unlearned": logits(trained),
            "gold": logits(kept),
        }
        tables["unlearned"][: SIZES["forget"] // 2] = tables["gold"][: SIZES["forget"] // 2]
        parts, start = {}, 0
        for name, size in SIZES.items():
            cut = slice(start, start + size)
            parts[name] = (labels[cut], {who: table[cut] for who, table in tables.items()})
            start += size
        seen = torch.rand(shadows, total, generator=generator) < 0.5
        return with_references(make_ctx(parts), {"shadow": logits(seen)}, {"shadow": seen})

    return make


def test_worked_forgetting_rate():
    before = torch.arange(100) < 90
    after = torch.arange(100) < 40
    assert forgetting_rate(before, after) == pytest.approx(0.555556, abs=1e-6)
    assert forgetting_rate(before, before) == 0.0
    assert forgetting_rate(after, before) == -1.25
    with pytest.raises(NotComputableError, match="no_detected_members"):
        forgetting_rate(torch.zeros(5).bool(), after[:5])


def test_forgetting_half_is_half_of_what_retraining_does(make_shadowed):
    ctx = make_shadowed()
    results = {who: measure(MIAShokri(), ctx.of(who)) for who in ctx.models}
    assert results["original"][RATE].value == 0.0
    assert results["gold"][RATE].value > 0.8
    assert results["unlearned"][RATE].value == pytest.approx(
        results["gold"][RATE].value / 2, abs=0.08
    )
    for values in results.values():
        assert values[AUC].value > 0.95
        assert values[ACCURACY].value > 0.9
        assert values[AUC] == results["gold"][AUC]  # one attack for all models
    assert set(results["gold"]) == set(meanings(MIAShokri(), "test"))


def test_an_attack_that_learns_nothing_says_so(make_shadowed):
    results = measure(MIAShokri(), make_shadowed(signal=0.0))
    assert abs(results[AUC].value - 0.5) < 3 * results[AUC].extras["null_error"]


def test_the_attack_is_drawn_by_the_evaluation_seed_alone(make_shadowed):
    ctx = make_shadowed(signal=1.0)
    assert measure(MIAShokri(epochs=2), ctx) == measure(MIAShokri(epochs=2), ctx)
    assert (
        measure(MIAShokri(epochs=2), ctx)[AUC]
        != measure(MIAShokri(epochs=2), replace(ctx, seed=1))[AUC]
    )


def test_pairs_are_as_many_as_asked_for(make_shadowed):
    results = measure(MIAShokri(n_attack=50, epochs=2), make_shadowed())
    assert results[AUC].extras["n_members"] == results[AUC].extras["n_non_members"] == 50


def test_shadows_and_samples_are_needed(make_shadowed):
    ctx = make_shadowed()
    assert reasons(MIAShokri(), replace(ctx, references=None)) == {"missing_shadow"}
    assert reasons(MIAShokri(), make_shadowed(shadows=1)) == {"missing_second_shadow"}
    assert reasons(MIAShokri(min_n=101), ctx) == {"too_few"}
    assert reasons(MIAShokri(), replace(ctx, task_type=Multilabel())) == {"needs_multiclass"}
    without = replace(ctx, models={"unlearned": ctx.models["unlearned"]})
    results = measure(MIAShokri(epochs=1), without)
    assert results[RATE].reason == "missing_original"
    assert results[AUC].status == "ok"
    assert MIAShokri().needs_roles == ("shadow",)


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [("n_attack", 9, 10), ("hidden", 0, 1), ("epochs", 0, 1), ("min_n", 1, 2)],
)
def test_bad_settings_are_refused(name, value, least):
    with pytest.raises(ConfigError, match=f"{name} must be >= {least}, got {value}"):
        MIAShokri(**{name: value})
