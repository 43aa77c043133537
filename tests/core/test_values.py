"""Measured values: NaN exactly when there is a reason."""

import math

import pytest

from erasure.core.values import MetricValue, NotComputableError, measure, missing


@pytest.mark.parametrize(("value", "status"), [(math.nan, "ok"), (0.5, "degenerate")])
def test_a_value_and_its_status_must_agree(value, status):
    with pytest.raises(ValueError, match="does not fit status"):
        MetricValue(value=value, status=status)


def test_numbers_become_values_and_values_stay():
    assert measure(lambda: 0.25).value == 0.25
    assert measure(lambda: math.inf).value == math.inf
    value = MetricValue(value=1.0, n=3)
    assert measure(lambda: value) is value


def test_nan_and_refusals_become_reasons():
    def refuse():
        raise NotComputableError("skipped", "missing_gold")

    refused, nan = measure(refuse), measure(lambda: math.nan)
    assert (refused.status, refused.reason) == ("skipped", "missing_gold")
    assert (nan.status, nan.reason) == ("degenerate", "nan")
    assert math.isnan(refused.value)
    assert math.isnan(nan.value)
    assert missing("error", "x").status == "error"


def test_other_errors_pass():
    with pytest.raises(ZeroDivisionError):
        measure(lambda: 1 / 0)
