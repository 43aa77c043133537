import math

import pytest
import torch
from scipy.stats import binomtest, skew, t

from erasure.evaluation.statistics.estimates import (
    Z,
    clopper_pearson,
    mean,
    mean_of_draws,
    proportion,
    rates_interval,
)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"), [(14, 1000, 0.00767, 0.02338), (0, 1000, 0.0, 0.00368)]
)
def test_clopper_pearson_has_the_worked_values(hits, n, low, high):
    assert clopper_pearson(hits, n) == pytest.approx((low, high), abs=5e-6)


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (3, 7), (7, 7), (500, 1000), (0, 50)])
def test_clopper_pearson_agrees_with_scipy(hits, n):
    expected = binomtest(hits, n).proportion_ci(0.95, method="exact")
    assert clopper_pearson(hits, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_proportion_knows_its_size():
    share = proportion(3, 4, {"note": 1})
    assert (share.value, share.n, share.extras) == (0.75, 4, {"note": 1})
    assert share.ci_low < 0.75 < share.ci_high


def test_a_mean_of_a_few_has_the_interval_of_student():
    values = [0.0, 1.0, 2.0, 5.0]
    error = math.sqrt((4 + 1 + 0 + 9) / 3 / 4)
    for function in (mean, mean_of_draws):
        average = function(torch.tensor(values), low=0.0, high=math.inf)
        assert average.value == 2.0
        assert average.ci_low == 0.0
        assert average.ci_high == pytest.approx(t.interval(0.95, 3, 2.0, error)[1])
    assert pytest.approx(1.959963985) == Z


def test_skewness_is_taken_out_of_the_interval_as_halls_polynomial_says():
    values = torch.empty(40).double().exponential_(generator=torch.Generator().manual_seed(1))
    average, n = mean(values, low=-math.inf, high=math.inf), 40
    gamma = skew(values.numpy()) * (39 / 40) ** 1.5
    for end, sign in ((average.ci_low, 1), (average.ci_high, -1)):
        x = (average.value - end) / values.std().item()
        # H(T) = x + gamma x^2 / 3 + gamma^2 x^3 / 27 + gamma / (6 n), at the quantile of t
        transformed = x + gamma * x**2 / 3 + gamma**2 * x**3 / 27 + gamma / (6 * n)
        assert transformed * math.sqrt(n) == pytest.approx(sign * t.ppf(0.975, n - 1), abs=1e-9)


def test_values_that_agree_are_no_proof_that_all_do():
    ones = mean(torch.ones(30), low=0.0, high=1.0)
    assert (ones.ci_low, ones.ci_high) == pytest.approx((0.025 ** (1 / 30), 1.0))
    for values, high in ((torch.ones(30), math.inf), (torch.full((30,), 0.5), 1.0)):
        assert math.isnan(mean(values, low=0.0, high=high).ci_low)
    assert math.isnan(mean_of_draws(torch.full((3,), 500.0), low=0.0, high=500.0).ci_low)


@pytest.mark.parametrize("hits", [0, 3, 20])
def test_one_rate_has_the_interval_of_wilson(hits):
    wilson = binomtest(hits, 20).proportion_ci(method="wilson")
    ends = rates_interval(torch.tensor([hits / 20]), torch.tensor([20]))
    assert ends == pytest.approx((wilson.low, wilson.high), abs=1e-6)


def test_the_mean_of_one_value_has_no_interval():
    average = mean(torch.tensor([3.0]), low=0.0, high=math.inf)
    assert average.value == 3.0
    assert math.isnan(average.ci_low)
    assert math.isnan(average.ci_high)
