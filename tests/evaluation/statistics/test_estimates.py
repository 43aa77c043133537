import math

import pytest
import torch
from scipy.stats import binomtest

from erasure.evaluation.statistics.estimates import Z, clopper_pearson, mean, proportion


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


def test_mean_interval_is_symmetric_and_clipped():
    average = mean(torch.tensor([0.0, 1.0, 2.0, 5.0]), low=0.0, high=math.inf)
    error = math.sqrt((4 + 1 + 0 + 9) / 3 / 4)
    assert average.value == 2.0
    assert average.ci_high == pytest.approx(2 + Z * error)
    assert average.ci_low == 0.0
    assert pytest.approx(1.959963985) == Z


def test_the_mean_of_one_value_has_no_interval():
    average = mean(torch.tensor([3.0]), low=0.0, high=math.inf)
    assert average.value == 3.0
    assert math.isnan(average.ci_low)
    assert math.isnan(average.ci_high)
