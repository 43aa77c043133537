"""What metrics are declared with: parts of the data, and shorthands for meanings."""

import math

import pytest

from erasure.core.metric import Parts, amount, distance, gold_if_forget, share


@pytest.mark.parametrize("heldout", ["test", "val"])
def test_parts_are_those_an_evaluation_may_look_at(heldout):
    parts = Parts(heldout)
    assert tuple(parts) == ("forget", "retain", heldout)
    assert parts.population == (f"{heldout}_forget", f"{heldout}_retain")


def test_parts_are_named_as_those_of_a_context(random_ctx):
    for heldout in ("test", "val"):
        assert tuple(Parts(heldout)) == random_ctx(heldout=heldout).parts


def test_shorthands_fill_in_the_range():
    half = share("closer_to_ideal", "A share.", ideal=0.5)
    assert (half.low, half.high, half.ideal, half.unit) == (0.0, 1.0, 0.5, "")
    loss = amount("min", "A loss.", unit="nats")
    assert (loss.low, loss.high, loss.ideal, loss.unit) == (0.0, math.inf, None, "nats")
    gap = distance("A gap.", high=2.0)
    assert (gap.direction, gap.low, gap.high, gap.ideal) == ("min", 0.0, 2.0, 0.0)


@pytest.mark.parametrize(
    ("part", "direction"),
    [("forget", "closer_to_gold"), ("test_forget", "closer_to_gold"), ("test_retain", "max")],
)
def test_on_forgotten_samples_gold_is_the_aim(part, direction):
    assert gold_if_forget(part, "max") == direction
