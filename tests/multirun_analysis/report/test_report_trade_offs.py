"""Forgetting, utility and time by hand, their front and their hypervolume."""

import math
from dataclasses import replace

import pandas as pd
import pytest
from tracked import FORGET, GOLD_FORGET

from multirun_analysis.read.frame import MetricMeaning, Results
from multirun_analysis.tables.trade_offs import trade_offs


def small(points, *, gold=True, seeds=(0,)):
    """Results with forget accuracy, retain accuracy and time as given; gold is at 0 and 1."""
    metrics = ("forget/accuracy", "retain/accuracy", "cost/share_of_retraining")
    runs, values = [], []
    for method, numbers in points.items():
        for seed in seeds:
            run = f"{method}-{seed}"
            runs.append(
                {
                    "run_id": run,
                    "block": "b",
                    "method": method,
                    "reference": method == "retrain",
                    "seed_train": seed,
                }
            )
            for metric, value in zip(metrics, numbers, strict=True):
                values.append((run, "unlearned", metric, value))
            if gold:
                values += [(run, "gold", m, v) for m, v in zip(metrics, (0.0, 1.0), strict=False)]
    columns = ["run_id", "role", "metric", "value"]
    meaning = MetricMeaning(
        direction="min", low=0.0, high=1.0, ideal=None, description="", unit=""
    )
    return Results(
        runs=pd.DataFrame(runs),
        values=pd.DataFrame(values, columns=columns),
        params={},
        schema=dict.fromkeys(metrics, meaning),
    )


def rows(worked_out):
    return {row["method"]: row for row in worked_out.table.to_dict("records")}


def test_two_points_have_the_hypervolume_of_the_specification():
    # points (.2, .6) and (.5, .3) up to (1, 1) cover 0.47; times of 0 leave the area
    worked_out = trade_offs(small({"a": (0.2, 0.4, 0.0), "b": (0.5, 0.7, 0.0)}))
    assert worked_out.volumes["b"].value == pytest.approx(0.47)
    by_method = rows(worked_out)
    assert by_method["a"]["alone"] == pytest.approx(0.8 * 0.4)
    assert by_method["a"]["adds"] == pytest.approx(0.47 - 0.5 * 0.7)
    assert by_method["a"]["front"]
    assert by_method["b"]["front"]


def test_a_dominated_method_is_on_no_front_and_adds_nothing():
    by_method = rows(trade_offs(small({"a": (0.1, 0.9, 0.1), "b": (0.2, 0.8, 0.2)})))
    assert [by_method[m]["front"] for m in "ab"] == [True, False]
    assert by_method["b"]["adds"] == 0.0
    assert by_method["a"]["adds"] == pytest.approx(by_method["a"]["alone"])


def test_yardsticks_are_on_no_front_and_compete_with_nobody():
    by_method = rows(trade_offs(small({"retrain": (0.0, 1.0, 0.0), "a": (0.5, 0.5, 0.5)})))
    assert not by_method["retrain"]["front"]
    assert by_method["a"]["front"]
    assert math.isnan(by_method["retrain"]["adds"])


def test_to_be_better_than_gold_is_no_merit_in_utility():
    by_method = rows(trade_offs(small({"a": (0.0, 1.2, 0.1)})))
    assert by_method["a"]["utility"] == 0.0


def test_a_method_without_all_values_has_no_place():
    by_method = rows(trade_offs(small({"a": (0.1, math.nan, 0.1), "b": (0.9, 0.1, 0.9)})))
    assert math.isnan(by_method["a"]["utility"])
    assert [by_method[m]["front"] for m in "ab"] == [False, True]


def test_objectives_nobody_measured_are_left_out():
    bare = small({"a": (0.1, 0.9, math.nan), "b": (0.2, 0.95, math.nan)})
    worked_out = trade_offs(bare)
    assert list(worked_out.meanings) == ["forgetting", "utility"]
    assert worked_out.volumes["b"].reference == (1.0, 1.0)


def test_nothing_measured_is_no_error():
    bare = small({"a": (0.1, 0.9, 0.1)})
    worked_out = trade_offs(replace(bare, values=bare.values[:0]))
    assert worked_out.meanings == {}
    assert worked_out.volumes == {}
    assert worked_out.table["method"].tolist() == ["a"]


def test_forgetting_is_the_mean_distance_of_each_run_from_its_own_gold(results):
    by_method = rows(trade_offs(results))
    forget = sum(abs(FORGET["finetune"] - gold) for gold in GOLD_FORGET) / 5
    attack = 0.5 + FORGET["finetune"] / 10 - 0.5
    assert by_method["finetune"]["forgetting"] == pytest.approx((forget + attack) / 2)
    assert by_method["finetune"]["utility"] == pytest.approx(0.08)  # retain: 0.90 to 0.94, gold 1
    assert by_method["finetune"]["utility_high"] > 0.08
