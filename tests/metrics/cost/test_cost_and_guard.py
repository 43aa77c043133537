import math

import pytest

from erasure.evaluation.measure import meanings, measure
from erasure.metrics.cost.cost import Cost
from erasure.metrics.cost.guard import Guard

COSTS = {
    "unlearn_seconds": 2.0,
    "retrain_seconds": 30.0,
    "original_seconds": 40.0,
    "peak_memory_bytes": 3_500_000.0,
    "forget_passes": 1.0,
    "retain_passes": 2.5,
    "val_passes": 0.0,
    "optimizer_steps": 70.0,
    "cpu_seconds": 2.5,
    "reference_seconds": 600.0,
    "reserved_memory_bytes": 8_000_000.0,
    "energy_joules": 90.0,
    "sample_reads": 300.0,
    "trained_reads": 50.0,
    "retrain_reads": 4_000.0,
    "sample_flops": 2e6,
    "training_sample_flops": 1e6,
    "step_flops": 0.0,
    "retrain_steps": 700.0,
    "relative_weight_change": 0.125,
    "forget_output_change": 0.5,
    "duplicates_forget_retain": 3.0,
    "duplicates_forget_heldout": 0.0,
}


def test_costs_are_derived_from_what_was_noted(random_ctx):
    values = measure(Cost(), random_ctx(costs=COSTS))
    assert {name: m.value for name, m in values.items()} == {
        "cost/unlearn_seconds": 2.0,
        "cost/original_seconds": 40.0,
        "cost/retrain_seconds": 30.0,
        "cost/speedup": 15.0,
        "cost/share_of_retraining": pytest.approx(1 / 15),
        "cost/cpu_seconds": 2.5,
        "cost/reference_seconds": 600.0,
        "cost/peak_memory_mb": 3.5,
        "cost/peak_memory_reserved_mb": 8.0,
        "cost/energy_joules": 90.0,
        "cost/unlearn_gflops": pytest.approx((300 * 2e6 + 50 * 1e6) / 1e9),
        "cost/retrain_gflops": pytest.approx(4_000 * 1e6 / 1e9),
        "cost/flop_ratio": pytest.approx(650 / 4000),
        "cost/forget_passes": 1.0,
        "cost/retain_passes": 2.5,
        "cost/optimizer_steps": 70.0,
    }


def test_guards_pass_on_what_was_noted(random_ctx):
    values = measure(Guard(), random_ctx(costs=COSTS))
    assert {name: m.value for name, m in values.items()} == {
        "guard/relative_weight_change": 0.125,
        "guard/forget_output_change": 0.5,
        "guard/duplicates_forget_retain": 3.0,
        "guard/duplicates_forget_heldout": 0.0,
    }
    assert {meaning.direction for meaning in meanings(Guard(), "test").values()} == {"info"}


@pytest.mark.parametrize("metric", [Cost(), Guard()])
def test_they_belong_to_the_unlearned_model(random_ctx, metric):
    ctx = random_ctx(costs=COSTS)
    assert set(measure(metric, ctx)) == set(meanings(metric, "test"))
    assert measure(metric, ctx.of("original")) == {}
    assert measure(metric, ctx.of("gold")) == {}


@pytest.mark.parametrize("metric", [Cost(), Guard()])
def test_what_was_not_noted_is_skipped(random_ctx, metric):
    values = measure(metric, random_ctx())
    assert all(math.isnan(m.value) for m in values.values())
    assert all(m.status == "skipped" for m in values.values())
    assert all(m.reason.startswith("missing_cost:") for m in values.values())


def test_where_a_step_costs_the_same_whatever_it_reads_steps_are_counted(random_ctx):
    whole = {"sample_flops": 0.0, "training_sample_flops": 0.0, "step_flops": 5e9}
    values = measure(Cost(), random_ctx(costs=COSTS | whole))
    assert values["cost/unlearn_gflops"].value == 70 * 5
    assert values["cost/flop_ratio"].value == pytest.approx(0.1)


def test_short_runs_are_below_what_an_energy_counter_resolves(random_ctx):
    for seconds, short in ((4.9, True), (5.0, False)):
        values = measure(Cost(), random_ctx(costs=COSTS | {"unlearn_seconds": seconds}))
        assert values["cost/energy_joules"].extras == {"below_measurement_floor": short}


def test_no_ratio_without_operations_that_count(random_ctx):
    values = measure(Cost(), random_ctx(costs=COSTS | {"training_sample_flops": 0.0}))
    assert values["cost/flop_ratio"].reason == "no_counted_operations"


def test_no_speedup_over_nothing(random_ctx):
    values = measure(Cost(), random_ctx(costs=COSTS | {"unlearn_seconds": 0.0}))
    assert values["cost/speedup"].reason == "zero_unlearn_seconds"
    assert values["cost/share_of_retraining"].value == 0.0
