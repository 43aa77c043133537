"""Measuring: where numbers and refusals become values, in the one place that does it."""

import math
from dataclasses import dataclass, field

import pytest

from erasure.core.metric import Value, Values, share
from erasure.core.values import MetricValue, NotComputableError
from erasure.evaluation.measure import UndeclaredNamesError, meanings, measure, measure_value

SHARE = share("max", "A test value.")


@dataclass(frozen=True)
class Separately:
    """Numbers that are computed one by one, each by a function of the context."""

    computations: dict = field(default_factory=dict)

    def values(self, parts):
        return {name: Value(SHARE, compute) for name, compute in self.computations.items()}


@dataclass(frozen=True)
class Together:
    """Numbers ``names`` that are computed by one function of the context."""

    names: tuple
    compute: object

    def values(self, parts):
        return Values(dict.fromkeys(self.names, SHARE), self.compute)


def refuse(ctx):
    raise NotComputableError("skipped", "missing_gold")


def divide(ctx):
    return 1 / 0


def test_numbers_become_values_and_values_stay(random_ctx):
    ctx, value = random_ctx(), MetricValue(value=1.0, n=3)
    assert measure_value(lambda _: 0.25, ctx).value == 0.25
    assert measure_value(lambda _: math.inf, ctx).value == math.inf
    assert measure_value(lambda _: value, ctx) is value


def test_nan_and_refusals_become_reasons(random_ctx):
    refused, nan = (measure_value(f, random_ctx()) for f in (refuse, lambda _: math.nan))
    assert (refused.status, refused.reason) == ("skipped", "missing_gold")
    assert (nan.status, nan.reason) == ("degenerate", "nan")


def test_other_errors_pass(random_ctx):
    for metric in (Separately({"x/a": divide}), Together(("x/a",), divide)):
        with pytest.raises(ZeroDivisionError):
            measure(metric, random_ctx())


def test_numbers_that_are_computed_one_by_one_fail_one_by_one(random_ctx):
    metric = Separately({"x/a": refuse, "x/b": lambda ctx: float(len(ctx.ids("forget")))})
    values = measure(metric, random_ctx())
    assert values["x/a"].reason == "missing_gold"
    assert values["x/b"].value == 40.0
    assert meanings(metric, "test") == {"x/a": SHARE, "x/b": SHARE}


def test_numbers_of_one_computation_fail_together(random_ctx):
    values = measure(Together(("x/a", "x/b"), refuse), random_ctx())
    assert {name: value.reason for name, value in values.items()} == {
        "x/a": "missing_gold",
        "x/b": "missing_gold",
    }


def test_one_number_of_a_computation_may_be_nan(random_ctx):
    metric = Together(("x/a", "x/b"), lambda _: {"x/a": math.nan, "x/b": 0.5})
    values = measure(metric, random_ctx())
    assert values["x/a"].reason == "nan"
    assert values["x/b"].value == 0.5
    assert meanings(metric, "test") == {"x/a": SHARE, "x/b": SHARE}


@pytest.mark.parametrize("names", [(), ("x/a",), ("x/a", "x/b", "x/c"), ("x/a", "x/c")])
def test_a_computation_must_return_the_declared_names(random_ctx, names):
    metric = Together(("x/a", "x/b"), lambda _: dict.fromkeys(names, 0.5))
    with pytest.raises(UndeclaredNamesError, match=r"but declares \['x/a', 'x/b'\]"):
        measure(metric, random_ctx())


def test_a_metric_of_one_subject_is_not_called_for_others(random_ctx):
    class OfUnlearned(Separately):
        subjects = ("unlearned",)

    metric, ctx = OfUnlearned({"x/a": lambda ctx: {"unlearned": 0.5}[ctx.subject]}), random_ctx()
    assert measure(metric, ctx)["x/a"].value == 0.5
    assert measure(metric, ctx.of("gold")) == measure(metric, ctx.of("original")) == {}


def test_names_are_declared_for_the_heldout_part_that_is_measured(random_ctx):
    class Echo:
        def values(self, parts):
            return {f"{part}/echo": Value(SHARE, lambda _: 0.5) for part in parts}

    assert set(meanings(Echo(), "val")) == {"forget/echo", "retain/echo", "val/echo"}
    assert set(measure(Echo(), random_ctx(heldout="val"))) == set(meanings(Echo(), "val"))
