"""Gaps to the retrained model: worked averages, signs, and what leaves no average."""

import math

import pytest

from erasure.core.errors import ConfigError
from erasure.core.values import MetricValue, not_computed
from erasure.evaluation.measure import meanings, measure
from erasure.metrics.to_gold.gap import Gap

SALUN = (2.39, 0.38, 0.33, 1.51)
UNLEARN_SPARSE = (77.47, 25.00, 0.13, 0.52)
NAMES = ("forget/accuracy", "retain/accuracy", "test/accuracy", "mia/loss/auc")
DEFAULT = Gap(of=["forget/accuracy", "retain/accuracy", "heldout/accuracy", "mia/loss/auc"])


def measured(ctx, unlearned, gold):
    ctx.results["unlearned"] = {
        n: MetricValue(value=v) for n, v in zip(NAMES, unlearned, strict=True)
    }
    ctx.results["gold"] = {n: MetricValue(value=v) for n, v in zip(NAMES, gold, strict=True)}
    return ctx


@pytest.mark.parametrize(
    ("gaps", "average"), [(SALUN, 1.1525), (UNLEARN_SPARSE, 25.78)], ids=["salun", "sparse"]
)
def test_worked_averages(random_ctx, gaps, average):
    ctx = measured(random_ctx(), [90 + gap for gap in gaps], [90.0] * 4)
    assert measure(DEFAULT, ctx)["gap/avg"].value == pytest.approx(average, abs=1e-6)


def test_gaps_are_absolute_and_their_signs_are_kept(random_ctx):
    values = measure(DEFAULT, measured(random_ctx(), [0.9, 0.8, 0.7, 0.4], [0.8, 1.0, 0.7, 0.5]))
    assert values["gap/forget/accuracy"].value == pytest.approx(0.1)
    assert values["gap/retain/accuracy"].value == pytest.approx(0.2)
    assert values["gap/retain/accuracy"].extras["signed"] == pytest.approx(-0.2)
    assert values["gap/avg"].value == pytest.approx(0.1)
    assert values["gap/avg"].extras["signed"] == {
        "forget/accuracy": pytest.approx(0.1),
        "retain/accuracy": pytest.approx(-0.2),
        "test/accuracy": 0.0,
        "mia/loss/auc": pytest.approx(-0.1),
    }


def test_heldout_is_the_part_in_use():
    assert "gap/val/accuracy" in meanings(DEFAULT, "val")
    assert "gap/test/accuracy" in meanings(DEFAULT, "test")


def test_one_missing_gap_leaves_no_average(random_ctx):
    ctx = measured(random_ctx(), [0.9, 0.8, 0.7, 0.4], [0.8, 1.0, 0.7, 0.5])
    ctx.results["unlearned"]["mia/loss/auc"] = not_computed("degenerate", "too_few")
    values = measure(DEFAULT, ctx)
    assert values["gap/forget/accuracy"].status == "ok"
    assert math.isnan(values["gap/avg"].value)
    assert (values["gap/avg"].status, values["gap/avg"].reason) == (
        "degenerate",
        "mia/loss/auc:too_few",
    )


def test_without_gold_all_are_skipped(random_ctx):
    values = measure(DEFAULT, random_ctx(roles=("original", "unlearned")))
    assert {(m.status, m.reason) for m in values.values()} == {("skipped", "missing_gold")}


def test_a_name_nobody_measured_is_named(random_ctx):
    values = measure(Gap(of=["forget/acuracy"]), random_ctx())
    assert "forget/acuracy" in values["gap/avg"].reason


@pytest.mark.parametrize("of", [[], "forget/accuracy", ["a", "b", "a"]])
def test_bad_lists_are_refused(of):
    with pytest.raises(ConfigError, match="of must be"):
        Gap(of=of)
