"""Measured values: NaN exactly when there is a reason."""

import math

import pytest

from erasure.core.values import MetricValue, not_computed


@pytest.mark.parametrize(("value", "status"), [(math.nan, "ok"), (0.5, "degenerate")])
def test_a_value_and_its_status_must_agree(value, status):
    with pytest.raises(ValueError, match="does not fit status"):
        MetricValue(value=value, status=status)


def test_what_is_not_computed_says_why():
    value = not_computed("error", "x")
    assert (value.status, value.reason) == ("error", "x")
    assert math.isnan(value.value)
