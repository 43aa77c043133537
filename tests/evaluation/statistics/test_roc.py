import math

import pytest
import torch
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc

from erasure.evaluation.statistics.roc import (
    auc,
    best_balanced_accuracy,
    delong_error,
    hits_at,
    null_error,
    roc,
)

MEMBERS = -torch.tensor([0.1, 0.2, 0.3, 0.9], dtype=torch.float64)
OTHERS = -torch.tensor([0.25, 0.6, 0.8, 1.2], dtype=torch.float64)


def tied_scores(draw, n_pos=83, n_neg=131):
    generator = torch.Generator().manual_seed(draw)
    pos = torch.randint(3, 15, (n_pos,), generator=generator).double()
    neg = torch.randint(0, 12, (n_neg,), generator=generator).double()
    return pos, neg


def test_worked_example():
    curve = roc(MEMBERS, OTHERS)
    assert auc(curve) == 0.75
    assert best_balanced_accuracy(curve)[0] == 0.75
    assert 2 * best_balanced_accuracy(curve)[0] - 1 == 0.5
    assert hits_at(curve, 0.1) / 4 == 0.5
    assert hits_at(curve, 0.25) / 4 == 0.75


def test_worked_partial_auc():
    # McClish: half of 1 + (area - a^2 / 2) / (a - a^2 / 2) over false-positive rates up to a.
    curve = roc(MEMBERS, OTHERS)
    area, most = torch.trapezoid(curve.tpr[curve.fpr <= 0.25], curve.fpr[curve.fpr <= 0.25]), 0.25
    chance = most**2 / 2
    assert (1 + (area - chance) / (most - chance)) / 2 == pytest.approx(0.714286, abs=1e-6)


def test_ties_count_half():
    assert auc(roc(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 0.0]))) == 0.75


@pytest.mark.parametrize(
    ("n", "error"), [(100, 0.0409), (500, 0.0183), (1000, 0.0129), (5000, 0.0058)]
)
def test_worked_null_errors(n, error):
    assert null_error(n, n) == pytest.approx(error, abs=5e-5)


@pytest.mark.parametrize("draw", range(5))
def test_auc_agrees_with_sklearn_under_ties(draw):
    pos, neg = tied_scores(draw)
    labels = [1] * len(pos) + [0] * len(neg)
    assert auc(roc(pos, neg)) == pytest.approx(roc_auc_score(labels, torch.cat([pos, neg])))


@pytest.mark.parametrize("draw", range(5))
def test_points_agree_with_sklearn_under_ties(draw):
    pos, neg = tied_scores(draw)
    labels = [1] * len(pos) + [0] * len(neg)
    fpr, tpr, _ = sklearn_roc(labels, torch.cat([pos, neg]), drop_intermediate=False)
    curve = roc(pos, neg)
    assert curve.fpr.tolist() == pytest.approx(fpr.tolist())
    assert curve.tpr.tolist() == pytest.approx(tpr.tolist())
    for rate in (0.0, 0.01, 0.1, 0.5, 1.0):
        assert hits_at(curve, rate) / len(pos) == pytest.approx(tpr[fpr <= rate].max())


@pytest.mark.parametrize("draw", range(5))
def test_delong_error_agrees_with_its_definition(draw):
    pos, neg = tied_scores(draw)
    kernel = (pos[:, None] > neg).double() + 0.5 * (pos[:, None] == neg)
    expected = kernel.mean(1).var() / len(pos) + kernel.mean(0).var() / len(neg)
    assert delong_error(pos, neg) == pytest.approx(math.sqrt(expected), rel=1e-12)


def test_delong_error_agrees_with_hanley_and_mcneil_where_both_hold():
    # Their formula is exact for exponential scores, 0.0344 at AUC 0.75 with 100 + 100 samples.
    area, n = 0.75, 100
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (n - 1) * (first - area**2) + (n - 1) * (second - area**2)
    exact = math.sqrt(spread / n**2)
    assert exact == pytest.approx(0.0344, abs=5e-5)
    generator = torch.Generator().manual_seed(0)
    draws = torch.empty(400, 2, n, dtype=torch.float64).exponential_(generator=generator)
    variances = [delong_error(3 * pos, neg) ** 2 for pos, neg in draws]  # P(3 X > Y) is 3 / 4
    assert math.sqrt(sum(variances) / len(variances)) == pytest.approx(exact, rel=0.01)


def test_exponential_losses_reach_their_true_values():
    generator = torch.Generator().manual_seed(1)
    draws = torch.empty(2, 200_000, dtype=torch.float64).exponential_(generator=generator)
    curve = roc(-0.2 * draws[0], -0.4 * draws[1])
    value, threshold = best_balanced_accuracy(curve)
    assert auc(curve) == pytest.approx(2 / 3, abs=0.003)  # three standard errors
    assert value == pytest.approx(0.625, abs=0.003)
    assert -threshold == pytest.approx(0.277259, abs=0.03)


@pytest.mark.parametrize("draw", range(5))
def test_swapping_the_sides_mirrors_the_auc(draw):
    pos, neg = tied_scores(draw)
    assert auc(roc(neg, pos)) == pytest.approx(1 - auc(roc(pos, neg)), abs=1e-15)
    assert delong_error(neg, pos) == pytest.approx(delong_error(pos, neg), rel=1e-12)


def test_order_does_not_matter():
    pos, neg = tied_scores(0)
    shuffled = roc(pos.flip(0), neg[torch.randperm(len(neg), generator=torch.Generator())])
    assert torch.equal(shuffled.hits, roc(pos, neg).hits)
    assert torch.equal(shuffled.alarms, roc(pos, neg).alarms)


def test_an_allowed_rate_is_not_lost_to_rounding():
    negatives = torch.arange(100).double()
    # 0.29 * 100 is 28.999999999999996, and still 29 false alarms are 29 %.
    assert hits_at(roc(torch.tensor([71.0, 70.0]), negatives), 0.29) == 1


def test_a_constant_score_is_chance():
    curve = roc(torch.ones(7), torch.ones(5))
    assert auc(curve) == 0.5
    assert best_balanced_accuracy(curve)[0] == 0.5
    assert hits_at(curve, 0.5) == 0


def test_one_score_has_no_error():
    assert math.isnan(delong_error(torch.ones(1), torch.zeros(5)))


def test_large_inputs_fit_into_memory():
    """All pairs of them would be 80 GB."""
    generator = torch.Generator().manual_seed(2)
    scores = torch.randn(2, 100_000, dtype=torch.float64, generator=generator)
    area, error = auc(roc(*scores)), delong_error(*scores)
    assert error == pytest.approx(null_error(100_000, 100_000), rel=0.01)
    assert abs(area - 0.5) < 4 * error
