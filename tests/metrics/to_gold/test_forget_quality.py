"""Forgetting quality: the rules by brute force, worked numbers, nulls, and what is degenerate."""

import math

import pytest
import torch
from reference_tables import crafted, normal

from erasure.core.errors import ConfigError
from erasure.evaluation.attacks.epsilon import (
    BUFFER,
    CAP,
    DELTA,
    best_rules,
    epsilon_of,
)
from erasure.evaluation.measure import meanings, measure
from erasure.evaluation.reference_margins import MarginPair
from erasure.evaluation.statistics.estimates import upper_rates
from erasure.metrics.to_gold.forget_quality import (
    ForgetQuality,
    Halved,
    contribution,
    quality,
)


def column(*values):
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def epsilon(fpr, fnr):
    return epsilon_of(torch.tensor(fpr).double(), torch.tensor(fnr).double()).item()


def brute_force(unlearned, gold, *, intervals=True):
    """Return the epsilon of one sample by trying every threshold and interval in plain Python."""
    unlearned, gold = sorted(unlearned.tolist()), sorted(gold.tolist())
    small, large = sorted([unlearned[-1] - unlearned[0], gold[-1] - gold[0]])
    if large > 0 and small < 0.01 * large:
        return CAP
    values = sorted({*unlearned, *gold})
    above, below = (unlearned, gold) if median(unlearned) > median(gold) else (gold, unlearned)
    rules = [(rate(below, t, math.inf), 1 - rate(above, t, math.inf)) for t in values]
    if intervals:
        inner, outer = (
            (unlearned, gold) if spread(unlearned) <= spread(gold) else (gold, unlearned)
        )
        width = spread(inner)
        for i, low in enumerate(values):
            for j in range(i, len(values)):
                before = values[i - 1] if i else values[0]
                after = values[j + 1] if j + 1 < len(values) else values[-1] + BUFFER
                realised = values[j] - low <= width + BUFFER and after - before >= width - BUFFER
                if realised and after >= values[0] + width - BUFFER:
                    rules.append((rate(outer, low, values[j]), 1 - rate(inner, low, values[j])))
    return max([0.0, *(one_rule(fpr, fnr) for fpr, fnr in rules)])


def median(values):
    return (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2


def spread(values):
    return values[-1] - values[0]


def rate(values, low, high):
    return sum(low <= v <= high for v in values) / len(values)


def one_rule(fpr, fnr):
    fpr, fnr = round(fpr, 12), round(fnr, 12)
    if fpr == fnr == 0:
        return CAP
    if 0 in (fpr, fnr):
        return -math.inf
    epsilons = [
        math.log(1 - DELTA - p) - math.log(q)
        for p, q in ((fpr, fnr), (fnr, fpr))
        if 1 - DELTA - p > 0
    ]
    return max([0.0, *epsilons])


@pytest.mark.parametrize("models", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_exact_enumeration_is_the_brute_force(models, scale):
    """Spreads from far below to far above the buffer of 2, with and without ties."""
    unlearned = scale * normal(models, 40, seed=models, mean=0.5)
    gold = scale * 1.5 * normal(models, 40, seed=50 + models)
    unlearned[:, 20:], gold[:, 20:] = unlearned[:, 20:].round(), gold[:, 20:].round()
    epsilons = best_rules(unlearned, gold).epsilon
    expected = [brute_force(unlearned[:, s], gold[:, s]) for s in range(40)]
    assert epsilons.tolist() == pytest.approx(expected, abs=1e-9)


def test_chunks_of_samples_do_not_change_epsilon(monkeypatch):
    unlearned, gold = normal(9, 30, seed=1), normal(9, 30, seed=2)
    whole = best_rules(unlearned, gold)
    monkeypatch.setattr("erasure.evaluation.attacks.epsilon.PAIRS", 200)
    parts = best_rules(unlearned, gold)
    assert torch.equal(whole.epsilon, parts.epsilon)


def test_a_fine_grid_of_rules_finds_no_more_than_the_enumeration():
    """The released scorer tries thresholds 0.01 apart; these are all that make a difference."""
    unlearned, gold = normal(16, 12, seed=1, mean=0.4), 1.3 * normal(16, 12, seed=2)
    exact = best_rules(unlearned, gold).epsilon
    for s in range(12):
        a, b = unlearned[:, s], gold[:, s]
        inner, outer = (a, b) if a.max() - a.min() <= b.max() - b.min() else (b, a)
        width = inner.max() - inner.min()
        both = torch.cat([a, b])
        right = torch.arange(both.min() + width - 2, both.max() + 2, 0.02)
        left = (right - width).unsqueeze(1) + torch.arange(-2, 2, 0.02)
        hits = [
            ((v >= left[..., None]) & (v <= right[:, None, None])).double().mean(-1)
            for v in (inner, outer)
        ]
        above, below = (a, b) if a.quantile(0.5) > b.quantile(0.5) else (b, a)
        grid = torch.arange(both.min() - 1, both.max() + 1, 0.01).unsqueeze(1)
        single = epsilon_of((below >= grid).double().mean(-1), (above < grid).double().mean(-1))
        best = max(0.0, epsilon_of(hits[1], 1 - hits[0]).max().item(), single.max().item())
        assert best <= exact[s] + 1e-9
        assert exact[s] - best < 0.2  # a grid can step over a value


def test_worked_rates():
    """metrics.md 5.6: (0.1, 0.2) gives 2.079429 and contributes 0.0625."""
    worked_epsilon = epsilon(0.1, 0.2)
    assert worked_epsilon == pytest.approx(2.079429, abs=1e-6)
    assert contribution(torch.tensor([worked_epsilon])).item() == 0.0625


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0, 1), (0.49, 1), (0.5, 0.5), (1.0, 0.25), (6.2, 2.44140625e-4), (6.5, 0), (50.0, 0)],
)
def test_contributions_by_bin(value, expected):
    assert contribution(torch.tensor([value]).double()).item() == expected


@pytest.mark.parametrize(
    ("models", "largest"), [(64, 4.14312), (128, 4.84418), (512, 6.23636), (1024, 6.93048)]
)
def test_the_largest_finite_epsilon(models, largest):
    assert epsilon(1 / models, 1 / models) == pytest.approx(largest, abs=1e-5)


@pytest.mark.parametrize(
    ("fpr", "fnr", "expected"),
    [
        (0.0, 0.0, CAP),
        (0.0, 0.5, -math.inf),
        (0.5, 0.0, -math.inf),
        (1.0, 1.0, 0.0),
        (0.6, 0.6, 0),
    ],
)
def test_rules_without_errors_of_one_kind_are_not_trusted(fpr, fnr, expected):
    assert epsilon(fpr, fnr) == expected


def test_the_lower_bound_of_epsilon():
    """metrics.md 5.6: 2 and 30 errors of 100: 3.555 at the point, at least 2.143 at 95 %."""
    assert epsilon(0.02, 0.30) == pytest.approx(3.555, abs=1e-3)
    fpr, fnr = upper_rates(torch.tensor([2.0, 30.0]).double(), 100, 0.95)
    assert epsilon_of(fpr, fnr).item() == pytest.approx(2.143, abs=1e-3)
    assert upper_rates(torch.tensor([5.0]).double(), 5, 0.95).item() == 1.0
    unlearned, gold = normal(20, 10, seed=1, mean=1.0), normal(20, 10, seed=2)
    lower = best_rules(unlearned, gold, confidence=0.95).epsilon
    assert (lower <= best_rules(unlearned, gold).epsilon).all()
    assert lower.max() > 0


def test_worked_pools():
    """metrics.md 5.6: shifted by 1.5, equal, apart, and constant against spread."""
    u = column(0, 1, 2, 3)
    assert best_rules(u, u + 1.5).epsilon.item() == pytest.approx(1.0986, abs=1e-4)
    assert best_rules(u, u.clone()).epsilon.item() == 0.0
    assert quality(best_rules(u, u.clone()).epsilon) == 1.0
    apart = best_rules(u, u + 10).epsilon
    assert (apart.item(), quality(apart)) == (CAP, 0.0)
    assert best_rules(torch.full_like(u, 1.5), u).epsilon.item() == CAP
    assert best_rules(u, torch.full_like(u, 1.5)).epsilon.item() == CAP
    constant = torch.full_like(u, 1.5)
    assert best_rules(constant, constant.clone()).epsilon.item() == 0.0
    assert best_rules(constant, constant + 1).epsilon.item() == CAP


@pytest.mark.parametrize(
    ("models", "shift", "expected"),
    [(32, 0, 0.195), (32, 1, 0.065), (32, 2, 0.020), (64, 0, 0.179), (64, 0.5, 0.116)],
)
def test_the_quality_of_shifted_normals_is_as_tabulated(models, shift, expected):
    """metrics.md 5.6, standard errors up to 0.007 there, and ours."""
    unlearned, gold = normal(models, 400, seed=1, mean=shift), normal(models, 400, seed=2)
    contributions = contribution(best_rules(unlearned, gold).epsilon)
    error = contributions.std().item() / 20
    assert contributions.mean().item() == pytest.approx(expected, abs=3 * math.hypot(error, 0.007))


def test_the_quality_does_not_depend_on_the_order_of_samples_models_or_sides():
    unlearned, gold = normal(12, 30, seed=1, mean=0.7), normal(12, 30, seed=2)
    plain = best_rules(unlearned, gold).epsilon
    assert torch.equal(best_rules(gold, unlearned).epsilon, plain)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    assert torch.equal(best_rules(unlearned[order], gold).epsilon, plain)
    turned = best_rules(unlearned.flip(1), gold.flip(1)).epsilon
    assert torch.equal(turned.flip(0), plain)


def test_the_rule_that_is_returned_does_what_it_promises():
    unlearned, gold = normal(24, 60, seed=1, mean=0.8), 1.4 * normal(24, 60, seed=2)
    rules = best_rules(unlearned, gold)
    inside = [
        ((side >= rules.low) & (side <= rules.high)).double().mean(0) for side in (unlearned, gold)
    ]
    fpr = torch.where(rules.members_inside, inside[1], inside[0])
    fnr = 1 - torch.where(rules.members_inside, inside[0], inside[1])
    again = epsilon_of(fpr.round(decimals=12), fnr.round(decimals=12)).clamp(min=0)
    torch.testing.assert_close(again, rules.epsilon, rtol=0, atol=1e-9)


def test_rules_rated_on_other_models_are_not_fooled_by_chance():
    """Equal pools look better than by the rule that happened to fit; different ones do not."""
    equal = MarginPair(normal(64, 200, seed=1), normal(64, 200, seed=2), 0.0)
    apart = MarginPair(equal.subject + 3, equal.gold, 0.0)
    assert quality(best_rules(equal.subject, equal.gold).epsilon) < 0.22
    assert Halved.of(equal).held_out_quality() > 0.8
    assert Halved.of(apart).held_out_quality() < 0.05


def context(make_ctx, models=32, shift=0.0, wrong=0.0, **options):
    parts = {"forget": 25, "retain": 40, "test": 30}

    def tables(seed, moved=0.0, right=1.0):
        margins = {
            p: normal(models, n, seed=seed + k, mean=3.0) for k, (p, n) in enumerate(parts.items())
        }
        return {
            **margins,
            "forget": margins["forget"] + moved,
            "test": margins["test"].abs() * right,
        }

    roles = {
        "original": tables(10, 3.0),
        "unlearned": tables(20, shift),
        "gold": tables(30),
    }
    if wrong:
        roles["unlearned"]["test"][:, : int(30 * wrong)] = -1.0
    return crafted(make_ctx, roles, **options)


def test_the_metric_compares_with_its_null(make_ctx):
    ctx = context(make_ctx)
    by_role = {
        who: measure(ForgetQuality(), ctx.of(who)) for who in ("original", "unlearned", "gold")
    }
    gold, like_gold, original = (
        by_role[who]["forget_quality/f_rel"] for who in ("gold", "unlearned", "original")
    )
    assert gold.value == 1.0
    assert like_gold.value == pytest.approx(1.0, abs=0.35)
    assert original.value < 0.2
    assert like_gold.extras["null"] == by_role["gold"]["forget_quality/f"].value
    assert by_role["gold"]["forget_quality/f"].extras["models"] == 16
    assert set(by_role["gold"]) == set(meanings(ForgetQuality(), "test"))
    assert by_role["original"]["forget_quality/f_holdout"].value < 0.1


def test_the_final_score_multiplies_by_ratios_of_accuracy(make_ctx):
    ctx = context(make_ctx, wrong=0.5)
    values = measure(ForgetQuality(), ctx)
    score = values["forget_quality/score"]
    assert score.extras["retain"] == pytest.approx(1.0, abs=0.01)
    assert score.extras["test"] == pytest.approx(0.5, abs=0.01)
    expected = values["forget_quality/f"].value * score.extras["retain"] * score.extras["test"]
    assert score.value == pytest.approx(expected, abs=1e-12)


def test_the_lower_bound_is_an_option(make_ctx):
    ctx = context(make_ctx, shift=2.0)
    metric = ForgetQuality(eps_ci=0.95)
    values = measure(metric, ctx)
    assert set(values) == set(meanings(metric, "test"))
    lower, point = (
        values[f"forget_quality/{name}"].value for name in ("epsilon_lower", "epsilon")
    )
    assert 0 < lower < point
    assert "forget_quality/epsilon_lower" not in meanings(ForgetQuality(), "test")


def test_equal_pools_have_the_null_as_their_quality(make_ctx):
    same = {"forget": normal(16, 10, seed=1), "retain": normal(16, 9, seed=2).abs()}
    ctx = crafted(make_ctx, {"unlearned": same, "gold": same})
    values = measure(ForgetQuality(), ctx)
    null = measure(ForgetQuality(), ctx.of("gold"))
    assert values["forget_quality/f"].extras["all_models"] == 1.0
    for name in ("f", "f_rel", "f_holdout", "epsilon", "score"):
        measured, expected = (side[f"forget_quality/{name}"] for side in (values, null))
        assert measured.value == expected.value


@pytest.mark.parametrize("models", [16, 32])
def test_independent_equal_pools_are_on_the_footing_of_the_null(make_ctx, models):
    """The whole pools against gold's halves would be .195 against .179, of 32 and 64 models."""
    pools = {
        role: {"forget": normal(models, 400, seed=k), "retain": normal(models, 9, seed=k).abs()}
        for k, role in enumerate(("unlearned", "gold"))
    }
    ctx = crafted(make_ctx, pools)
    f, null = (
        measure(ForgetQuality(), ctx.of(who))["forget_quality/f"].value
        for who in ("unlearned", "gold")
    )
    assert f == pytest.approx(null, rel=0.05)


def test_small_pools_and_no_pool_have_a_reason(make_ctx, random_ctx):
    few = measure(ForgetQuality(), context(make_ctx, models=15))
    assert {m.reason for m in few.values()} == {"too_few"}
    enough = measure(ForgetQuality(), context(make_ctx, models=16))
    assert enough["forget_quality/f"].status == enough["forget_quality/f_rel"].status == "ok"
    none = measure(ForgetQuality(), random_ctx())
    assert {(m.status, m.reason) for m in none.values()} == {("skipped", "missing_references")}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eps_ci": 1.0}, r"eps_ci must be in \(0, 1\) or null, got 1.0"),
        ({"min_models": 3}, "min_models must be >= 4, got 3"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        ForgetQuality(**settings)
