"""Means and intervals against scipy and hand values."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from multirun_analysis.statistics.intervals import (
    interval_table,
    t_interval,
)
from multirun_analysis.statistics.values import average, one_metric, snap, to_cost

FIVE = [1.15, 1.40, 0.95, 1.30, 1.20]


def rng(seed=0):
    return np.random.default_rng(seed)


def test_five_gaps_have_the_interval_of_the_specification():
    interval = t_interval(FIVE)
    assert interval.mean == pytest.approx(1.2)
    assert interval.sd == pytest.approx(0.169558, abs=1e-6)
    assert interval.half_width == pytest.approx(0.210534, abs=1e-6)
    assert (interval.units, interval.n_ok, interval.n, interval.reason) == (5, 5, 5, "")


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_student_s_interval_is_scipy_s(level):
    values = rng().normal(size=7)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(level)
    interval = t_interval(values, level=level)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), rel=1e-12)


def test_missing_values_are_counted_and_left_out():
    interval = t_interval([*FIVE, np.nan, np.inf])
    assert (interval.n_ok, interval.n) == (5, 7)
    assert interval.mean == pytest.approx(1.2)


def test_nullable_numbers_of_pandas_are_missing_where_they_are():
    interval = t_interval(pd.Series([1.0, 3.0, pd.NA], dtype="Float64"))
    assert (interval.mean, interval.n_ok, interval.n) == (2.0, 2, 3)


@pytest.mark.parametrize(
    ("values", "mean", "reason"),
    [
        ([], np.nan, "2 values, got 0"),
        ([np.nan, np.nan], np.nan, "2 values, got 0"),
        ([0.3, np.nan], 0.3, "2 values, got 1"),
    ],
)
def test_one_seed_has_a_mean_but_no_interval(values, mean, reason):
    interval = t_interval(values)
    assert interval.mean == pytest.approx(mean, nan_ok=True)
    assert np.isnan([interval.sd, interval.low, interval.high]).all()
    assert reason in interval.reason


def test_one_cluster_has_no_interval_however_many_values_it_has():
    interval = t_interval(FIVE, clusters=[0] * 5)
    assert (interval.units, interval.n_ok) == (1, 5)
    assert "2 clusters, got 1" in interval.reason


def test_equal_values_have_an_interval_of_length_zero():
    interval = t_interval([0.1] * 3)
    assert interval.low == interval.high == pytest.approx(0.1)
    assert interval.sd == 0.0


def test_values_without_a_variance_are_refused():
    interval = t_interval([1e300, -1e300, 1e308])
    assert "too large" in interval.reason
    assert np.isnan(interval.low)


def test_clusters_are_the_units():
    values, seeds = [1.0, 3.0, 5.0, 7.0, 20.0, np.nan], [0, 0, 1, 1, 2, 2]
    assert t_interval(values, clusters=seeds).half_width == pytest.approx(
        t_interval([2.0, 6.0, 20.0]).half_width
    )


def test_a_value_of_an_unknown_cluster_is_not_guessed():
    interval = t_interval([1.0, 2.0, 3.0], clusters=pd.array([0, 1, None], dtype="Int64"))
    assert "cluster of 1 values is unknown" in interval.reason
    assert not t_interval([1.0, 2.0, np.nan], clusters=[0, 1, None]).reason


@pytest.mark.parametrize("values", [[0.3, 0.1 + 0.2], [1e-300, 2e-300], [0.0, 5e-324]])
def test_values_equal_up_to_rounding_or_underflow_have_no_deviation(values):
    interval = t_interval(values)
    assert (interval.sd, interval.half_width) == (0.0, 0.0)


def test_clustered_intervals_cover_and_naive_ones_do_not():
    """Ten training seeds with five unlearning seeds each, most of the spread by the former."""
    random, hits = rng(5), {"naive": 0, "clustered": 0}
    clusters = np.repeat(np.arange(10), 5)
    for _ in range(300):
        values = np.repeat(random.normal(size=10), 5) + 0.3 * random.normal(size=50)
        for name, labels in (("naive", None), ("clustered", clusters)):
            interval = t_interval(values, clusters=labels)
            hits[name] += interval.low <= 0.0 <= interval.high
    assert hits["naive"] < 0.75 * 300
    assert hits["clustered"] > 0.92 * 300


def test_a_table_has_an_interval_per_cell_and_keeps_cells_without_values():
    frame = pd.DataFrame(
        {"method": ["a"] * 5 + ["b"], "seed_train": [0, 1, 2, 3, 4, 0], "v": [*FIVE, np.nan]}
    )
    table = interval_table(frame, by=["method"], value="v", cluster="seed_train")
    assert table["method"].tolist() == ["a", "b"]
    assert table["half_width"][0] == pytest.approx(0.210534, abs=1e-6)
    assert (table["n_ok"].tolist(), table["n"].tolist()) == ([5, 0], [5, 1])
    assert table["reason"][1]
    for i, values in enumerate([FIVE, [np.nan]]):
        expected = asdict(t_interval(values, clusters=range(len(values))))
        assert table.loc[i, list(expected)].to_dict() == pytest.approx(expected, nan_ok=True)
    empty = interval_table(frame[:0], by=["method"], value="v")
    assert list(empty.columns) == list(table.columns)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: t_interval(FIVE, level=1.0), "level must be in"),
        (lambda: t_interval(FIVE, clusters=[0]), "clusters must be 5"),
        (lambda: interval_table(pd.DataFrame({"v": []}), by=["a"], value="v"), "columns .'a'"),
        (lambda: to_cost([1.0], "info"), "direction must be one of"),
        (lambda: to_cost([1.0], "closer_to_gold"), "gold must be given"),
        (lambda: to_cost([1.0], "closer_to_gold", gold=[1.0, 2.0]), "gold must be aligned"),
        (lambda: to_cost([1.0], "closer_to_ideal"), "ideal must be given"),
    ],
)
def test_wrong_calls_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_directions_become_costs():
    values = [0.2, np.nan, np.inf, 0.9]
    gold = [0.5, 0.5, 0.5, np.nan]
    lost = np.nan
    assert to_cost(values, "min") == pytest.approx([0.2, lost, lost, 0.9], nan_ok=True)
    assert to_cost(values, "max") == pytest.approx([-0.2, lost, lost, -0.9], nan_ok=True)
    falls_back = to_cost(values, "closer_to_gold", gold=gold, ideal=0.5)
    assert falls_back == pytest.approx([0.3, lost, lost, 0.4], nan_ok=True)
    near = to_cost(values, "closer_to_gold", gold=gold)
    assert near == pytest.approx([0.3, lost, lost, lost], nan_ok=True)
    ideal = to_cost(values, "closer_to_ideal", ideal=0.5)
    assert ideal == pytest.approx([0.3, lost, lost, 0.4], nan_ok=True)


def test_rounding_noise_is_no_difference_but_small_metrics_keep_theirs():
    differences = np.array([0.3 - 0.1, 0.5 - 0.3])
    assert differences[0] != differences[1]
    rounded = snap(differences, np.array([0.3, 0.1, 0.5, 0.3]))
    assert rounded[0] == rounded[1]
    tiny = np.array([1e-15, 2e-15, 3e-15])
    assert snap(tiny, tiny) == pytest.approx(tiny)
    exploded = np.array([0.1, 0.2, 1e30])
    assert snap(exploded, exploded) == pytest.approx(exploded)
    assert snap(np.zeros(2), np.zeros(2)).tolist() == [0.0, 0.0]


def test_averages_count_and_keep_unknown_keys():
    seeds = pd.array([0, 0, None], dtype="Int64")
    averages = average(pd.DataFrame({"s": seeds, "v": [1.0, np.nan, 5.0]}), ["s"], "v")
    assert averages["v"].tolist() == [1.0, 5.0]
    assert (averages["n_ok"].tolist(), averages["n"].tolist()) == ([1, 1], [2, 1])


def test_one_metric_has_a_row_per_run_and_a_column_per_role():
    runs = pd.DataFrame({"run_id": ["a", "b", "", ""], "method": ["x", "y", "z", "z"]})
    values = pd.DataFrame(
        [
            ("a", "unlearned", "m", 0.1),
            ("a", "gold", "m", 0.2),
            ("a", "gold", "k", 0.7),
            ("b", "unlearned", "m", np.nan),
        ],
        columns=["run_id", "role", "metric", "value"],
    )
    wide = one_metric(runs, values, "m")
    assert wide["method"].tolist() == ["x", "y", "z", "z"]
    assert wide["unlearned"].to_numpy() == pytest.approx([0.1] + [np.nan] * 3, nan_ok=True)
    assert wide["gold"].to_numpy() == pytest.approx([0.2] + [np.nan] * 3, nan_ok=True)
    assert wide["original"].isna().all()
    with pytest.raises(ValueError, match="one value of m per run"):
        one_metric(runs, pd.concat([values, values]), "m")


def test_statistics_need_no_torch_and_no_tracking(python):
    code = "import sys, multirun_analysis.statistics as s; "
    code += (
        "print(sorted({'torch', 'hydra', 'erasure.core.values', 'mlflow', 'statsmodels'} "
        "& {*sys.modules}))"
    )
    assert python("-W", "error", "-c", code).stdout == "[]\n"
