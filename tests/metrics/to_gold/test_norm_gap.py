"""What is noted beside a normalized gap."""

import pytest

from erasure.core.values import MetricValue
from erasure.evaluation.measure import measure
from erasure.metrics.to_gold.norm_gap import NormalizedGap


def test_nothing_is_divided_by_a_retrained_value_of_zero(random_ctx):
    ctx = random_ctx()
    for role, accuracy in {"original": 1.0, "unlearned": 0.25, "gold": 0.0}.items():
        ctx.results[role] = {"forget/accuracy": MetricValue(value=accuracy)}
    gap = measure(NormalizedGap(of=["forget/accuracy"]), ctx)["norm_gap/forget/accuracy"]
    assert gap.value == 0.25
    assert "retention" not in gap.extras
    assert gap.extras["sape"] == pytest.approx(1.0)
