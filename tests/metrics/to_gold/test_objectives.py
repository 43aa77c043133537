"""The three objectives of a search against numbers worked out by hand."""

import math
from dataclasses import replace

import pytest

from erasure.core.errors import ConfigError
from erasure.core.values import MetricValue, not_computed
from erasure.evaluation.measure import measure
from erasure.metrics.to_gold.objectives import Objectives

UNLEARNED = {"retain/accuracy": 0.90, "test/accuracy": 0.85, "forget/accuracy": 0.95,
             "mia/loss/auc": 0.62, "forget/js_to_gold": 0.2 * math.log(2)}  # fmt: skip
GOLD = {"retain/accuracy": 0.96, "test/accuracy": 0.83, "forget/accuracy": 0.80,
        "mia/loss/auc": 0.50}  # fmt: skip


def measured(ctx, values=UNLEARNED, gold=GOLD, subject="unlearned"):
    ctx.results[subject] = {name: MetricValue(value=value) for name, value in values.items()}
    ctx.results["gold"] = {name: MetricValue(value=value) for name, value in gold.items()}
    return replace(ctx, subject=subject)


def test_worked_values(random_ctx):
    ctx = measured(random_ctx(costs={"unlearn_seconds": 2.0, "retrain_seconds": 8.0}))
    values = {name: value.value for name, value in measure(Objectives(), ctx).items()}
    assert values == {
        "objective/utility": pytest.approx((0.06 + 0.0) / 2),
        "objective/forgetting": pytest.approx((0.15 + 0.12 + 0.2) / 3),
        "objective/heldout_drop": pytest.approx(-0.02),
        "objective/log_time": pytest.approx(-math.log(4)),
    }
    two_sided = measure(Objectives(utility="gap"), ctx)["objective/utility"].value
    assert two_sided == pytest.approx((0.06 + 0.02) / 2)


def test_the_retrained_model_is_at_the_origin(random_ctx):
    ctx = measured(random_ctx(), values={**GOLD, "forget/js_to_gold": 0.0}, subject="gold")
    ctx.results["gold"]["forget/js_to_gold"] = MetricValue(value=0.0)
    assert {value.value for value in measure(Objectives(), ctx).values()} == {0.0}


def test_the_original_took_no_time_to_unlearn(random_ctx):
    log_time = measure(Objectives(), measured(random_ctx(), subject="original"))[
        "objective/log_time"
    ]
    assert (log_time.status, log_time.reason) == ("skipped", "nothing_unlearned")


def test_what_is_missing_says_why(random_ctx):
    ctx = measured(random_ctx(costs={"unlearn_seconds": 0.0, "retrain_seconds": 8.0}))
    ctx.results["unlearned"]["mia/loss/auc"] = not_computed("degenerate", "too_few")
    values = measure(Objectives(), ctx)
    assert values["objective/forgetting"].reason.endswith("too_few")
    assert values["objective/log_time"].reason == "zero_seconds"
    assert values["objective/utility"].status == "ok"


def test_another_utility_is_refused():
    with pytest.raises(ConfigError, match="utility must be drop or gap, got 'mean'"):
        Objectives(utility="mean")
