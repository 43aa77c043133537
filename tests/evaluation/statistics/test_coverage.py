"""Intervals hold the truth as often as they say, in simulations with fixed seeds.

The whole table is that of ``benchmarks/coverage.py``; here is what once covered too little.
"""

import math

import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import binom, norm

from erasure.evaluation.statistics.cross_validation import auc_by_fold, resampled_interval
from erasure.evaluation.statistics.estimates import mean_of_draws
from erasure.evaluation.statistics.low_fpr import null_rate, tpr_interval
from erasure.evaluation.statistics.roc import auc, auc_interval, roc
from erasure.metrics.privacy.umia_lr import AttackSides, kfold_values, starting_kit


def normal(*size, seed, mean=0.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*size, generator=generator, dtype=torch.float64) + mean


def covered(intervals, truth):
    ends = list(intervals)
    return sum(low <= truth <= high for low, high in ends) / len(ends)


@pytest.mark.parametrize(("n", "area"), [(30, 0.95), (130, 0.5), (1000, 0.95)])
def test_a_tpr_counts_that_its_threshold_is_estimated(n, area):
    shift = norm.ppf(area) * math.sqrt(2)
    truth = norm.sf(norm.isf(null_rate(0.01, n)) - shift)
    draws = range(100)
    share = covered(
        (
            tpr_interval(normal(n, seed=k, mean=shift), normal(n, seed=1000 + k), 0.01)
            for k in draws
        ),
        truth,
    )
    assert share >= 0.93  # the exact binomial interval: 46 % at 1000


@pytest.mark.parametrize(("m", "null"), [(36, 1 / 37), (99, 1 / 100), (1000, 11 / 1001)])
def test_the_null_of_a_threshold_is_what_an_attack_that_knows_nothing_gets(m, null):
    assert null_rate(0.01, m) == null
    sides = normal(400, m + 200, seed=m)
    threshold = sides[:, :m].sort(dim=1, descending=True).values[:, math.floor(0.01 * m)]
    rate = (sides[:, m:] > threshold.unsqueeze(1)).double().mean().item()
    assert rate == pytest.approx(null, rel=0.15)


def test_the_mixture_of_a_tpr_is_that_over_binomial_ranks():
    """With one member above all but the first of three negatives, by hand."""
    members, negatives = torch.tensor([2.5]), torch.tensor([1.0, 2.0, 3.0])
    rate = null_rate(0.01, 3)
    weights = binom.pmf([0, 1, 2, 3], 3, rate)
    hits = [0, 0, 1, 1, 1]  # above infinity, 3, 2, 1 and minus infinity

    def mixture(share):
        from scipy.stats import beta

        sides = [beta.cdf(share, h + 0.5, 1 - h + 0.5) for h in hits]
        return sum(w * (a + b) / 2 for w, a, b in zip(weights, sides, sides[1:], strict=False))

    ends = [brentq(lambda share, p=p: mixture(share) - p, 0, 1) for p in (0.025, 0.975)]
    assert tpr_interval(members, negatives, 0.01) == pytest.approx(ends, abs=1e-6)


@pytest.mark.parametrize("area", [0.5, 0.95, 0.995])
def test_an_auc_is_covered_near_its_end_too(area):
    shift = norm.ppf(area) * math.sqrt(2)
    sides = ((normal(30, seed=k, mean=shift), normal(30, seed=500 + k)) for k in range(200))
    assert covered((auc_interval(*side) for side in sides), area) >= 0.92  # Wald: 62 % at .995


def test_perfect_separation_has_newcombes_interval():
    low, high = auc_interval(torch.arange(20) + 50.0, torch.arange(30.0))
    spread = 1 + (25 - 1) * ((1 - low) / (2 - low) + low / (1 + low))
    error = math.sqrt(low * (1 - low) * spread / (20 * 30))
    assert (1 - low) / error == pytest.approx(norm.ppf(0.975), rel=1e-6)
    assert high == 1.0


def test_means_of_three_draws_take_students_t():
    values = (mean_of_draws(normal(3, seed=k), low=-9, high=9) for k in range(300))
    assert covered(((v.ci_low, v.ci_high) for v in values), 0.0) >= 0.92  # 1.96: 81 %


def test_an_auc_is_compared_within_folds():
    """By the slopes of their folds two folds rank opposite ways, and each is right in its own."""
    scores, member = torch.tensor([1.0, 0.0, 5.0, 9.0]), torch.tensor([True, False] * 2)
    by_fold = auc_by_fold(scores, member, torch.tensor([0, 0, 1, 1]), 2)
    assert by_fold.tolist() == [1.0, 0.0]
    assert auc(roc(scores[member], scores[~member])) == 0.5


def test_splits_that_share_samples_have_the_variance_of_nadeau_and_bengio():
    values = torch.tensor([0.4, 0.5, 0.6, 0.5])
    error = values.double().std().item() * math.sqrt(1 / 4 + 0.1 / 0.9)
    low, high = resampled_interval(values, tested=0.1, n=40)
    assert (high - low) / 2 == pytest.approx(3.182446 * error, rel=1e-6)
    assert resampled_interval(torch.ones(4), tested=0.1, n=40)[0] == pytest.approx(
        0.9119, abs=1e-4
    )
    assert math.isnan(resampled_interval(torch.full((4,), 0.5), tested=0.1, n=40)[0])


def test_the_logistic_attack_is_at_chance_where_there_is_nothing():
    values = []
    for seed in range(60):
        losses = normal(60, seed=seed).exp()
        sides = AttackSides(losses, torch.arange(60) >= 30)
        values.append([*kfold_values(sides).values(), starting_kit(sides)])
    for measured in zip(*values, strict=True):
        share = covered(((v.ci_low, v.ci_high) for v in measured), 0.5)
        assert share >= 0.85  # the splits taken as independent: 66 %
    areas = torch.tensor([row[1].value for row in values])
    assert areas.mean() == pytest.approx(0.5, abs=0.03)  # pooled over folds: .465
