"""Tug of war is defined for shares alone, those of the retrained model included."""

import pytest

from erasure.core.values import MetricValue
from erasure.evaluation.measure import meanings, measure
from erasure.metrics.to_gold.tow import ToW
from erasure.metrics.to_gold.tow_mia import ToWMIA

NAME = "test/share"
METRICS = {"tow/score": ToW(of=["heldout/share"]), "tow_mia/score": ToWMIA(of=["heldout/share"])}


def score(random_ctx, name, *, unlearned, gold):
    ctx = random_ctx()
    ctx.results["unlearned"] = {NAME: MetricValue(value=unlearned)}
    ctx.results["gold"] = {NAME: MetricValue(value=gold)}
    return measure(METRICS[name], ctx)[name]


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    ("unlearned", "gold"), [(0.5, 1.01), (0.5, -0.01), (1.01, 0.5), (-0.01, 0.5)]
)
def test_neither_side_may_be_out_of_range(random_ctx, name, unlearned, gold):
    value = score(random_ctx, name, unlearned=unlearned, gold=gold)
    assert (value.status, value.reason) == ("degenerate", f"not_a_share:{NAME}")


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    ("unlearned", "gold", "expected"),
    [(0.0, 0.0, 1.0), (1.0, 1.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.5, 1.0, 0.5)],
)
def test_both_ends_of_the_range_are_in_it(random_ctx, name, unlearned, gold, expected):
    assert score(random_ctx, name, unlearned=unlearned, gold=gold).value == expected


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("heldout", ["test", "val"])
def test_the_score_lies_between_0_and_1_and_names_what_it_is_of(name, heldout):
    meaning = meanings(METRICS[name], heldout)[name]
    assert (meaning.low, meaning.high, meaning.ideal) == (0.0, 1.0, 1.0)
    assert f"{heldout}/share" in meaning.description
