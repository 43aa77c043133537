"""U-LiRA: known Gaussians, leave-one-out without bias, intervals that hold."""

import math
from statistics import NormalDist

import pytest
import torch
from reasons import reasons
from reference_tables import crafted, normal
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from erasure.core.errors import ConfigError
from erasure.evaluation.attacks.likelihood_ratio import likelihood_ratios
from erasure.evaluation.attacks.unlearning_attack import UnlearningAttack, _caught
from erasure.evaluation.attacks.values import LOW_FPRS
from erasure.evaluation.measure import meanings, measure
from erasure.evaluation.statistics.clustered import (
    ClusteredValues,
    above,
    clustered_proportion,
    two_way_error,
)
from erasure.evaluation.statistics.estimates import clopper_pearson
from erasure.evaluation.statistics.low_fpr import null_rate
from erasure.evaluation.statistics.roc import auc, delong_error, hits_at, roc
from erasure.metrics.privacy.ulira import ULiRA, ulira_interval

LEFT_OUT = torch.nan


def attacked(members, nonmembers, seed=0):
    return UnlearningAttack(members, nonmembers, seed).values({})


def margin_tables(models, samples, shift=0.0, seed=0):
    """Two groups of models, members higher by ``shift`` deviations of a sample."""
    difficulty = normal(1, samples, seed=seed + 1, sd=3.0)
    members = normal(models, samples, seed=seed + 2) + difficulty + shift
    return members, normal(models, samples, seed=seed + 3) + difficulty


def by_hand(members, nonmembers, *, per_sample):
    """Score every value by scipy, refitting both sides without row k."""
    scores = []
    for scored in (members, nonmembers):
        rows = []
        for k in range(len(members)):
            kept = torch.arange(len(members)) != k
            fits = [(side[kept].mean(0), side[kept].var(0)) for side in (members, nonmembers)]
            if not per_sample:
                fits = [(mean, variance.mean().expand_as(variance)) for mean, variance in fits]
            log = [
                norm.logpdf(scored[k].numpy(), mean.numpy(), variance.sqrt().numpy())
                for mean, variance in fits
            ]
            rows.append(torch.tensor(log[0] - log[1]))
        scores.append(torch.stack(rows))
    return scores


@pytest.mark.parametrize(("models", "per_sample"), [(4, False), (9, False), (64, True)])
def test_scores_are_those_of_refitting_without_the_scored_model(models, per_sample):
    members, nonmembers = margin_tables(models, 7, shift=0.5)
    scores = likelihood_ratios(members, nonmembers)
    expected = by_hand(members, nonmembers, per_sample=per_sample)
    torch.testing.assert_close(scores.members, expected[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(scores.nonmembers, expected[1], rtol=1e-9, atol=1e-9)
    assert scores.floored == 0.0


@pytest.mark.parametrize(
    ("models", "expected", "samples"),
    [(4, 0.656, 1500), (8, 0.689, 1000), (16, 0.700, 600), (32, 0.709, 400), (64, 0.709, 200)],
)
def test_the_power_by_number_of_models_is_as_tabulated(models, expected, samples):
    """metrics.md 5.3: a gap of 0.8, pooled variance below 64 models; theory 0.7142."""
    results = attacked(*margin_tables(models, samples, shift=0.8))
    value = results["auc"].value
    error = 1.3 * math.sqrt(0.21 / (models * samples))  # binomial, and the noise of the fits
    assert value == pytest.approx(expected, abs=3 * error + 0.003)
    accuracy = {4: 0.609, 8: 0.637, 16: 0.649, 32: 0.654, 64: 0.654}[models]
    assert results["balanced_accuracy"].value == pytest.approx(accuracy, abs=3 * error + 0.003)


def test_many_models_reach_the_closed_form():
    """S=4000, T=20, m=128 in metrics.md 12.2: 0.7142 +- 0.006."""
    members, nonmembers = margin_tables(128, 1500, shift=0.8)
    assert attacked(members, nonmembers)["auc"].value == pytest.approx(
        NormalDist().cdf(0.8 / math.sqrt(2)), abs=0.006
    )


def test_the_population_attack_misses_most_of_the_same_leak():
    """metrics.md 5.3: 0.573 where the attack per sample has 0.71; theory Phi(0.8 / sqrt(20))."""
    members, nonmembers = margin_tables(128, 4000, shift=0.8)
    area = auc(roc(members.flatten(), nonmembers.flatten()))
    assert area == pytest.approx(NormalDist().cdf(0.8 / math.sqrt(20)), abs=0.01)


@pytest.mark.parametrize("models", [4, 8, 16])
def test_equal_pools_are_at_chance_with_few_models(models):
    """Dropping a model on its own side alone gives 0.480 at four; pairs give 0.501 +- 0.003."""
    result = attacked(*margin_tables(models, 16_000 // models))["auc"]
    assert result.value == pytest.approx(0.5, abs=3 * 0.0058)
    assert result.ci_low < 0.5 < result.ci_high


def test_worked_closed_form():
    """metrics.md 5.3: N(2, 1) against N(0, 1): AUC, accuracy and rates at low false positives."""
    members, nonmembers = normal(64, 300, seed=1, mean=2.0), normal(64, 300, seed=2)
    results = attacked(members, nonmembers)
    assert results["auc"].value == pytest.approx(0.921350, abs=0.005)
    assert results["balanced_accuracy"].value == pytest.approx(0.841345, abs=0.006)
    assert results["tpr_at_1_fpr"].value == pytest.approx(0.372081, abs=0.03)
    assert results["tpr_at_0.1_fpr"].value == pytest.approx(0.137805, abs=0.05)
    for name, truth in (("auc", 0.92135), ("tpr_at_1_fpr", 0.372081)):
        assert results[name].ci_low < truth < results[name].ci_high


def test_identical_pools_score_zero():
    members, _ = margin_tables(8, 20)
    scores = likelihood_ratios(members, members.clone())
    assert scores.members.abs().max() == scores.nonmembers.abs().max() == 0.0
    results = attacked(members, members.clone())
    assert (results["auc"].value, results["balanced_accuracy"].value) == (0.5, 0.5)
    assert [results[name].value for name in LOW_FPRS] == [
        null_rate(fpr, 160) for fpr in LOW_FPRS.values()
    ]
    assert results["auc"].extras["constant_score"] is True


def test_the_attack_asks_which_side_and_swapping_the_labels_turns_it_around():
    members, nonmembers = margin_tables(12, 40, shift=0.7)
    scores = likelihood_ratios(members, nonmembers)
    assert attacked(nonmembers, members)["auc"].value == pytest.approx(
        attacked(members, nonmembers)["auc"].value
    )
    right, wrong = (
        above(left.flatten(), right.flatten()).mean()
        for left, right in (
            (scores.members, scores.nonmembers),
            (scores.nonmembers, scores.members),
        )
    )
    assert right + wrong == pytest.approx(1.0, abs=1e-12)


def test_the_order_of_samples_does_not_matter():
    members, nonmembers = margin_tables(8, 30, shift=0.7)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    plain, mixed = attacked(members, nonmembers), attacked(members[:, order], nonmembers[:, order])
    for name, value in plain.items():
        assert mixed[name].value == pytest.approx(value.value, abs=1e-12)
        assert mixed[name].ci_low == pytest.approx(value.ci_low, abs=1e-9)


def test_margins_without_spread_are_told_apart_by_a_floor():
    members, nonmembers = torch.full((4, 5), 1.0).double(), torch.full((4, 5), 2.0).double()
    results = attacked(members, nonmembers)
    assert results["auc"].value == 1.0
    assert results["auc"].extras["floored"] == 1.0
    constant = torch.full((4, 5), 1.0).double()
    assert attacked(constant, constant.clone())["auc"].value == 0.5


def test_missing_models_are_left_out_and_do_not_bias_the_null():
    """Three unlearned and thirty unseen models per sample, as random halves give them."""
    members, nonmembers = margin_tables(40, 1500)
    generator = torch.Generator().manual_seed(9)
    order = torch.rand(40, 1500, generator=generator).argsort(dim=0)
    members = members.where(order < 5, LEFT_OUT)
    nonmembers = nonmembers.where(order >= 15, LEFT_OUT)
    scores = likelihood_ratios(members, nonmembers)
    assert torch.equal(scores.members.isnan(), members.isnan())
    assert torch.equal(scores.nonmembers.isnan(), nonmembers.isnan())
    value = attacked(members, nonmembers)["auc"]
    assert value.value == pytest.approx(0.5, abs=0.015)
    assert value.n == 1500 * 30
    shifted = attacked(members + 2.0, nonmembers)["auc"]
    assert shifted.value > 0.8


def test_samples_with_fewer_than_four_models_are_not_attacked():
    members, nonmembers = margin_tables(8, 6)
    members[3:, :2] = LEFT_OUT
    result = attacked(members, nonmembers)["auc"]
    assert result.extras["samples"] == 4
    assert result.n == 2 * 8 * 4


def test_without_dependence_the_error_is_that_of_delong():
    generator = torch.Generator().manual_seed(0)
    positives = torch.randn(1, 3000, generator=generator).double() + 0.5
    negatives = torch.randn(1, 3000, generator=generator).double()
    sides = [ClusteredValues.of(positives), ClusteredValues.of(negatives)]
    # A sample of its own for each score; two models, so that they say nothing.
    sides = [
        ClusteredValues(s.values, s.samples + 3000 * k, torch.arange(3000) + 3000 * k)
        for k, s in enumerate(sides)
    ]
    wins, losses = above(positives[0], negatives[0]), above(negatives[0], positives[0])
    value = wins.mean()
    assert value == pytest.approx(
        roc_auc_score([1] * 3000 + [0] * 3000, torch.cat([positives[0], negatives[0]]))
    )
    pulls = [(wins - value) / 3000, (1 - losses - value) / 3000]
    error = two_way_error(list(zip(sides, pulls, strict=True)))
    assert error == pytest.approx(delong_error(positives[0], negatives[0]), rel=0.01)


def test_repeating_every_sample_does_not_make_the_interval_narrower():
    members, nonmembers = margin_tables(16, 25, shift=0.4)
    scores = likelihood_ratios(members, nonmembers)
    once = [ClusteredValues.of(side) for side in (scores.members, scores.nonmembers)]
    often = [ClusteredValues.of(side.repeat(1, 8)) for side in (scores.members, scores.nonmembers)]
    often = [ClusteredValues(side.values, side.samples % 25, side.models) for side in often]
    assert two_way_error(pulled(often)) >= two_way_error(pulled(once)) > 0.0
    naive = delong_error(often[0].values, often[1].values)
    assert naive < 0.5 * two_way_error(pulled(once))


def pulled(sides):
    wins = above(sides[0].values, sides[1].values)
    losses = above(sides[1].values, sides[0].values)
    value = wins.mean()
    pulls = (wins - value) / len(wins), (1 - losses - value) / len(losses)
    return list(zip(sides, pulls, strict=True))


@pytest.mark.parametrize("effect", [0.0, pytest.param(0.5, marks=pytest.mark.slow)])
def test_the_interval_covers_what_it_estimates(effect):
    """Models differ as a whole, which a binomial interval would not see."""
    values = []
    for seed in range(40):
        members, nonmembers = margin_tables(16, 25, shift=0.4, seed=100 * seed)
        members = members + normal(16, 1, seed=7000 + seed, sd=effect)
        nonmembers = nonmembers + normal(16, 1, seed=8000 + seed, sd=effect)
        values.append(attacked(members, nonmembers)["auc"])
    truth = sum(value.value for value in values) / len(values)
    covered = sum(value.ci_low <= truth <= value.ci_high for value in values)
    assert 34 <= covered <= 40
    widths = torch.tensor([value.ci_high - value.ci_low for value in values])
    spread = torch.tensor([value.value for value in values]).std()
    assert 0.8 < widths.mean() / (4 * spread) < 2.0


def test_rates_at_low_false_positives_count_as_the_roc_does():
    members, nonmembers = (
        normal(500, seed=1, mean=0.8).round(decimals=1),
        normal(700, seed=2).round(decimals=1),
    )
    for fpr in (0.001, 0.01, 0.1):
        assert _caught(members, nonmembers, fpr).sum() == hits_at(roc(members, nonmembers), fpr)


def test_an_independent_proportion_has_the_interval_of_clopper_and_pearson():
    """metrics.md 2.3: 14 of 1000 gives [0.00767, 0.02338], none of 1000 at most 0.00368."""
    values = (torch.arange(1000) < 14).double().unsqueeze(0)
    hits = ClusteredValues.of(values)
    error = math.sqrt(0.014 * 0.986 / 1000)
    share = clustered_proportion(hits, error)
    assert (share.ci_low, share.ci_high) == pytest.approx(clopper_pearson(14, 1000), abs=1e-9)
    assert (share.ci_low, share.ci_high) == pytest.approx((0.00767, 0.02338), abs=1e-5)
    nobody = clustered_proportion(ClusteredValues.of(torch.zeros(1, 1000).double()), 0.0)
    assert (nobody.ci_low, nobody.ci_high) == pytest.approx((0.0, 0.00368), abs=1e-5)
    halved = clustered_proportion(hits, error * math.sqrt(2))
    assert halved.extras["effective_n"] == pytest.approx(500)


def context(make_ctx, models=16, shift=1.0, samples=24, **options):
    parts = {"forget": samples, "retain": 30, "test": 20}

    def tables(seed, moved):
        return {
            part: normal(models, n, seed=seed + k)
            + normal(1, n, seed=k, sd=2.0)
            + (moved if part == "forget" else 0)
            for k, (part, n) in enumerate(parts.items())
        }

    roles = {
        "original": tables(10, 2 * shift),
        "unlearned": tables(20, shift),
        "gold": tables(30, 0.0),
    }
    return crafted(make_ctx, roles, **options)


def test_each_subject_is_compared_with_the_retrained_models(make_ctx):
    ctx = context(make_ctx)
    results = {who: measure(ULiRA(), ctx.of(who)) for who in ("original", "unlearned", "gold")}
    values = {who: result["ulira/auc"].value for who, result in results.items()}
    assert values["original"] > values["unlearned"] > 0.65
    assert results["gold"]["ulira/auc"].ci_low < 0.5 < results["gold"]["ulira/auc"].ci_high
    assert results["gold"]["ulira/auc"].extras["models"] == 8
    assert results["unlearned"]["ulira/retain/auc"].value == pytest.approx(0.5, abs=0.1)
    assert set(results["gold"]) == set(meanings(ULiRA(), "test"))
    assert ulira_interval(ctx) == (
        results["unlearned"]["ulira/auc"].ci_low,
        results["unlearned"]["ulira/auc"].ci_high,
    )
    quantiles = results["original"]["ulira/balanced_accuracy"].extras["per_sample"]
    assert 0.0 <= quantiles["0.05"] <= quantiles["0.5"] <= quantiles["1"] <= 1.0


def test_too_few_models_and_no_pool_have_a_reason(make_ctx, random_ctx):
    assert reasons(ULiRA(), context(make_ctx, models=3)) == {"too_few"}
    assert (
        measure(ULiRA(), context(make_ctx, models=6).of("gold"))["ulira/auc"].reason == "too_few"
    )
    none = measure(ULiRA(), random_ctx())
    assert {(m.status, m.reason) for m in none.values()} == {("skipped", "missing_references")}
    assert all(math.isnan(end) for end in ulira_interval(random_ctx()))
    assert all(math.isnan(end) for end in ulira_interval(context(make_ctx, models=3)))


def test_margins_beyond_the_limit_are_cut_off_and_counted(make_ctx):
    huge = normal(8, 10, seed=1)
    huge[:, 0] = 1e4
    roles = {"unlearned": {"forget": huge}, "gold": {"forget": normal(8, 10, seed=2)}}
    result = measure(ULiRA(), crafted(make_ctx, roles))["ulira/auc"]
    assert result.status == "ok"
    assert result.extras["clipped"] == pytest.approx(0.05)


def test_random_halves_give_every_sample_models_of_both_kinds(make_ctx):
    shadows, total = 40, 12 + 20 + 4 + 16
    generator = torch.Generator().manual_seed(3)
    order = torch.rand(shadows, total, generator=generator).argsort(dim=0)
    trained, forgotten = order < 20, order < 8
    parts = {"forget": 12, "retain": 20, "val": 4, "test": 16}
    starts = torch.tensor([0, 12, 32, 36, 52]).tolist()
    base = normal(1, total, seed=4, sd=2.0)
    before = normal(shadows, total, seed=5) + base + 3.0 * trained
    after = normal(shadows, total, seed=6) + base + 3.0 * (trained & ~forgotten) + 1.0 * forgotten

    def cut(table):
        return {p: table[:, starts[k] : starts[k + 1]] for k, p in enumerate(parts)}

    one = {p: torch.zeros(1, n).double() for p, n in parts.items()}
    roles = {
        "original": one,
        "unlearned": one,
        "gold": one,
        "shadow": cut(before),
        "shadow_unlearned": cut(after),
    }
    seen = {"shadow": trained, "shadow_unlearned": trained}
    ctx = crafted(make_ctx, roles, seen=seen, forgotten=forgotten)
    metric = ULiRA(design="random")
    assert metric.needs_roles == ("shadow", "shadow_unlearned")
    results = {who: measure(metric, ctx.of(who)) for who in ("original", "unlearned", "gold")}
    auc_of = {who: values["ulira/auc"].value for who, values in results.items()}
    assert auc_of["original"] == pytest.approx(NormalDist().cdf(3 / math.sqrt(2)), abs=0.02)
    assert auc_of["unlearned"] == pytest.approx(NormalDist().cdf(1 / math.sqrt(2)), abs=0.08)
    assert auc_of["gold"] == pytest.approx(0.5, abs=0.08)
    assert results["unlearned"]["ulira/auc"].extras["samples"] == 48  # val is not evaluated
    assert results["unlearned"]["ulira/retain/auc"].value == pytest.approx(0.5, abs=0.05)
    assert results["original"]["ulira/retain/auc"].value == 0.5


def test_an_unknown_design_is_refused():
    with pytest.raises(ConfigError, match="design must be fixed or random, got 'half'"):
        ULiRA(design="half")
