"""The attack apart for what is memorized most and least, with no bias by the choice."""

import math
from statistics import NormalDist

import pytest
import torch
from reasons import reasons
from reference_tables import crafted, normal
from scipy.stats import rankdata

from erasure.core.errors import ConfigError
from erasure.evaluation.attacks.unlearning_attack import UnlearningAttack
from erasure.evaluation.measure import meanings, measure
from erasure.metrics.privacy.ulira import ULiRA
from erasure.metrics.privacy.ulira_by_memorization import (
    MemorizationRanks,
    ULiRAByMemorization,
    memorization_order,
)

SAMPLES = 80
RIGHT_FROM = -math.log(2)
"""Margin from which a sample is right: the two other classes are alike."""


def tables(models, *, learned, left, seed=0):
    """Return margins by role: the last quarter of the samples is hard, and memorized by originals.

    Args:
        models: How many per role.
        learned: What training on a hard sample adds to its margin.
        left: What of that is left after unlearning.
        seed: Of all draws.
    """
    hard = torch.arange(SAMPLES) >= SAMPLES * 3 // 4
    difficulty = torch.where(hard, -1.5, 4.0) + normal(SAMPLES, seed=seed, sd=0.5)
    added = {"original": learned, "unlearned": left, "gold": 0.0}
    return {
        role: difficulty + normal(models, SAMPLES, seed=seed + k + 1) + amount * hard
        for k, (role, amount) in enumerate(added.items())
    }


def context(make_ctx, margins):
    return crafted(make_ctx, {role: {"forget": table} for role, table in margins.items()})


def test_a_leak_of_a_few_shows_on_the_vulnerable_alone(make_ctx):
    ctx = context(make_ctx, tables(16, learned=5.0, left=1.5))
    values = measure(ULiRAByMemorization(), ctx)
    vulnerable, protected = values["ulira/vulnerable/auc"], values["ulira/protected/auc"]
    whole = measure(ULiRA(), ctx)["ulira/auc"].value
    assert vulnerable.value > 0.75 > whole > 0.5
    assert protected.ci_low < 0.5 < protected.ci_high
    # Training on a hard sample leaves no error, and without it three of four are wrong.
    expected = NormalDist(-1.5, math.sqrt(1.25)).cdf(RIGHT_FROM)
    assert vulnerable.extras["memorization"] == pytest.approx(expected, abs=0.1)
    assert abs(protected.extras["memorization"]) < 0.1
    assert vulnerable.extras["samples"] == protected.extras["samples"] == SAMPLES // 4
    assert vulnerable.extras["models"] == 8
    assert set(values) == set(meanings(ULiRAByMemorization(), "test"))


def test_groups_are_chosen_by_one_half_of_the_models_and_attacked_with_the_other(make_ctx):
    margins = tables(12, learned=3.0, left=1.0)
    values = measure(ULiRAByMemorization(share=0.5), context(make_ctx, margins))
    right = {role: table[::2] > RIGHT_FROM for role, table in margins.items()}
    scores = right["original"].double().mean(0) - right["gold"].double().mean(0)
    fall = margins["original"][::2].mean(0) - margins["gold"][::2].mean(0)
    ranks = rankdata(scores) * 1000 + rankdata(fall)  # memorization first
    chosen = torch.from_numpy(ranks.argsort())[SAMPLES // 2 :]
    attack = UnlearningAttack(
        margins["unlearned"][1::2][:, chosen], margins["gold"][1::2][:, chosen], 0
    )
    expected = attack.values({})
    for name in ("auc", "balanced_accuracy", "tpr_at_1_fpr"):
        actual = values[f"ulira/vulnerable/{name}"]
        assert actual.value == pytest.approx(expected[name].value, abs=1e-6)
    assert values["ulira/vulnerable/auc"].extras["memorization"] == pytest.approx(
        scores[chosen].mean().item()
    )


def test_the_choice_does_not_make_a_leak_of_chance(make_ctx):
    """No sample is harder than another: who is ranked first owes it to chance alone."""
    areas = []
    for seed in range(12):
        margins = {
            role: normal(8, SAMPLES, seed=10 * seed + k)
            for k, role in enumerate(("original", "unlearned", "gold"))
        }
        values = measure(ULiRAByMemorization(), context(make_ctx, margins))
        areas.append(values["ulira/vulnerable/auc"].value)
        assert values["ulira/vulnerable/auc"].extras["memorization"] > 0.2
    error = torch.tensor(areas).std().item() / len(areas) ** 0.5
    assert sum(areas) / len(areas) == pytest.approx(0.5, abs=3 * error)


def test_the_retrained_model_is_compared_with_itself(make_ctx):
    values = measure(
        ULiRAByMemorization(), context(make_ctx, tables(32, learned=5.0, left=1.5)).of("gold")
    )
    for group in ("vulnerable", "protected"):
        value = values[f"ulira/{group}/auc"]
        assert value.extras["models"] == 8
        assert value.ci_low < 0.5 < value.ci_high


def test_ties_are_decided_by_the_fall_of_the_margin():
    ranking = MemorizationRanks(
        torch.tensor([0.0, 0.5, 0.0, 0.0]).double(), torch.tensor([2.0, -9.0, 1.0, 3.0]).double()
    )
    assert memorization_order(ranking).tolist() == [2, 0, 3, 1]


def test_too_few_models_or_samples_have_a_reason(make_ctx, random_ctx):
    assert reasons(ULiRAByMemorization(), random_ctx()) == {"missing_references"}
    few = context(make_ctx, tables(6, learned=1.0, left=0.0))
    assert reasons(ULiRAByMemorization(), few) == {"too_few"}
    enough = context(make_ctx, tables(8, learned=1.0, left=0.0))
    assert reasons(ULiRAByMemorization(min_n=21), enough) == {"too_few"}
    assert reasons(ULiRAByMemorization(min_n=20), enough) == {""}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share": 0.6}, r"share must be in \(0, 0.5\], got 0.6"),
        ({"share": 0.0}, r"share must be in \(0, 0.5\], got 0.0"),
        ({"min_n": 1}, "min_n must be >= 2, got 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        ULiRAByMemorization(**settings)
