"""Means, intervals and variance components against scipy, statsmodels and hand values."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from multirun_analysis.statistics.intervals import (
    bootstrap_interval,
    interval_table,
    t_interval,
)
from multirun_analysis.statistics.values import average, one_metric, snap, to_cost
from multirun_analysis.statistics.variance import variance_components

FIVE = [1.15, 1.40, 0.95, 1.30, 1.20]


def rng(seed=0):
    return np.random.default_rng(seed)


def test_five_gaps_have_the_interval_of_the_specification():
    found = t_interval(FIVE)
    assert found.mean == pytest.approx(1.2)
    assert found.sd == pytest.approx(0.169558, abs=1e-6)
    assert found.half_width == pytest.approx(0.210534, abs=1e-6)
    assert (found.units, found.n_ok, found.n, found.reason) == (5, 5, 5, "")


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_student_s_interval_is_scipy_s(level):
    values = rng().normal(size=7)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(level)
    found = t_interval(values, level=level)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-12)


def test_missing_values_are_counted_and_left_out():
    found = t_interval([*FIVE, np.nan, np.inf])
    assert (found.n_ok, found.n) == (5, 7)
    assert found.mean == pytest.approx(1.2)


def test_nullable_numbers_of_pandas_are_missing_where_they_are():
    found = t_interval(pd.Series([1.0, 3.0, pd.NA], dtype="Float64"))
    assert (found.mean, found.n_ok, found.n) == (2.0, 2, 3)


@pytest.mark.parametrize(
    ("values", "mean", "said"),
    [
        ([], np.nan, "2 values, got 0"),
        ([np.nan, np.nan], np.nan, "2 values, got 0"),
        ([0.3, np.nan], 0.3, "2 values, got 1"),
    ],
)
def test_one_seed_has_a_mean_but_no_interval(values, mean, said):
    for found in (t_interval(values), bootstrap_interval(values, generator=rng())):
        assert found.mean == pytest.approx(mean, nan_ok=True)
        assert np.isnan([found.sd, found.low, found.high]).all()
        assert said in found.reason


def test_one_cluster_has_no_interval_however_many_values_it_has():
    found = t_interval(FIVE, clusters=[0] * 5)
    assert (found.units, found.n_ok) == (1, 5)
    assert "2 clusters, got 1" in found.reason


def test_equal_values_have_an_interval_of_length_zero():
    for found in (t_interval([0.1] * 3), bootstrap_interval([0.1] * 3, generator=rng())):
        assert found.low == found.high == pytest.approx(0.1)
        assert found.sd == 0.0


def test_values_without_a_variance_are_refused():
    found = t_interval([1e300, -1e300, 1e308])
    assert "too large" in found.reason
    assert np.isnan(found.low)


def test_clusters_are_the_units():
    values, seeds = [1.0, 3.0, 5.0, 7.0, 20.0, np.nan], [0, 0, 1, 1, 2, 2]
    assert t_interval(values, clusters=seeds).half_width == pytest.approx(
        t_interval([2.0, 6.0, 20.0]).half_width
    )


def test_a_value_of_an_unknown_cluster_is_not_guessed():
    found = t_interval([1.0, 2.0, 3.0], clusters=pd.array([0, 1, None], dtype="Int64"))
    assert "cluster of 1 values is unknown" in found.reason
    assert not t_interval([1.0, 2.0, np.nan], clusters=[0, 1, None]).reason


def test_the_bootstrap_is_scipy_s_over_cluster_means():
    values, seeds = rng().gamma(2.0, size=24), np.repeat(np.arange(8), 3)
    means = values.reshape(8, 3).mean(axis=1)
    expected = stats.bootstrap((means,), np.mean, method="BCa", rng=rng(1)).confidence_interval
    found = bootstrap_interval(values, clusters=seeds, generator=rng(1))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.kind, found.units, found.n) == ("bca", 8, 24)


def test_the_bootstrap_of_two_values_stays_between_them():
    found = bootstrap_interval([1.0, 2.0], generator=rng())
    assert 1.0 <= found.low < found.high <= 2.0


@pytest.mark.parametrize("values", [[0.3, 0.1 + 0.2], [1e-300, 2e-300], [0.0, 5e-324]])
def test_values_equal_up_to_rounding_or_underflow_have_no_deviation(values):
    for found in (t_interval(values), bootstrap_interval(values, generator=rng())):
        assert (found.sd, found.half_width) == (0.0, 0.0)


def test_resamples_on_one_side_of_the_mean_give_percentiles_and_say_so():
    found = [bootstrap_interval(FIVE, generator=rng(seed), resamples=2) for seed in range(9)]
    assert {f.kind for f in found} == {"bca", "percentile"}
    for f in found:
        assert f.low <= f.high
        assert f.kind == "bca" or f.high < f.mean or f.mean < f.low


def test_the_same_generator_draws_the_same_interval():
    first, second = (bootstrap_interval(FIVE, generator=rng(3)) for _ in range(2))
    assert first == second


def test_clustered_intervals_cover_and_naive_ones_do_not():
    """Ten training seeds with five unlearning seeds each, most of the spread by the former."""
    random, hits = rng(5), {"naive": 0, "clustered": 0}
    clusters = np.repeat(np.arange(10), 5)
    for _ in range(300):
        values = np.repeat(random.normal(size=10), 5) + 0.3 * random.normal(size=50)
        for name, labels in (("naive", None), ("clustered", clusters)):
            found = t_interval(values, clusters=labels)
            hits[name] += found.low <= 0.0 <= found.high
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
    drawn = interval_table(frame, by=["method"], value="v", generator=rng())
    assert drawn["kind"][0] == "bca"
    empty = interval_table(frame[:0], by=["method"], value="v")
    assert list(empty.columns) == list(table.columns)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: t_interval(FIVE, level=1.0), "level must be in"),
        (lambda: t_interval(FIVE, clusters=[0]), "clusters must be 5"),
        (lambda: bootstrap_interval(FIVE, generator=rng(), resamples=1), "resamples must be"),
        (lambda: interval_table(pd.DataFrame({"v": []}), by=["a"], value="v"), "columns .'a'"),
        (lambda: variance_components(pd.DataFrame({"v": []}), value="v", nested=[]), "nested"),
        (lambda: to_cost([1.0], "info"), "direction must be one of"),
        (lambda: to_cost([1.0], "closer_to_gold"), "gold must be given"),
        (lambda: to_cost([1.0], "closer_to_gold", gold=[1.0, 2.0]), "gold must be aligned"),
        (lambda: to_cost([1.0], "closer_to_ideal"), "ideal must be given"),
    ],
)
def test_wrong_calls_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def nested_frame(random, a=6, b=4, c=3, sd=(2.0, 1.0, 0.5)):
    codes = [(i, j) for i in range(a) for j in range(b) for _ in range(c)]
    train, unlearn = np.array(codes).T
    first, second = random.normal(size=a) * sd[0], random.normal(size=(a, b)) * sd[1]
    values = first[train] + second[train, unlearn] + sd[2] * random.normal(size=a * b * c)
    return pd.DataFrame({"seed_train": train, "seed_unlearn": unlearn, "v": values})


def test_balanced_components_are_those_of_the_nested_analysis_of_variance():
    import statsmodels.formula.api as smf
    from statsmodels.stats.anova import anova_lm

    frame = nested_frame(rng(2))
    fit = smf.ols("v ~ C(seed_train) + C(seed_train):C(seed_unlearn)", frame).fit()
    within, between, residual = anova_lm(fit)["mean_sq"].iloc[[1, 0, 2]]
    found = variance_components(frame, value="v", nested=["seed_train", "seed_unlearn"])
    expected = {
        "seed_train": (between - within) / 12,
        "seed_unlearn": (within - residual) / 3,
        "residual": residual,
    }
    assert {c.name: c.raw for c in found.components} == pytest.approx(expected)
    assert [c.df for c in found.components] == [5, 18, 48]
    assert sum(c.share for c in found.components) == pytest.approx(1.0)
    assert found.total == pytest.approx(sum(expected.values()))


def test_balanced_components_are_the_restricted_likelihood_ones():
    import statsmodels.formula.api as smf

    frame = nested_frame(rng(4), b=1, c=8)
    fit = smf.mixedlm("v ~ 1", frame, groups=frame["seed_train"]).fit(reml=True)
    found = variance_components(frame, value="v", nested=["seed_train"])
    assert found.components[0].raw == pytest.approx(float(fit.cov_re.iloc[0, 0]), rel=1e-3)
    assert found.components[1].raw == pytest.approx(float(fit.scale), rel=1e-3)


def test_unbalanced_one_way_components_are_the_textbook_ones():
    """Searle 1992, section 3.6: ``n0 = (N - sum n_i^2 / N) / (a - 1)``."""
    frame = pd.DataFrame({"s": [0, 0, 0, 1, 1, 2], "v": [1.0, 2.0, 4.0, 7.0, 8.0, 3.0]})
    inside = ((np.array([1, 2, 4]) - 7 / 3) ** 2).sum() + 0.5
    between = 3 * (7 / 3) ** 2 + 2 * 7.5**2 + 9 - 25**2 / 6
    n0 = (6 - 14 / 6) / 2
    residual = inside / 3
    found = variance_components(frame, value="v", nested=["s"])
    assert found.components[0].raw == pytest.approx((between / 2 - residual) / n0)
    assert found.components[1].raw == pytest.approx(residual)


def test_unbalanced_components_are_unbiased():
    random, sums = rng(6), np.zeros(3)
    for _ in range(300):
        frame = nested_frame(random, a=8).sample(frac=0.6, random_state=random)
        found = variance_components(frame, value="v", nested=["seed_train", "seed_unlearn"])
        sums += [c.raw for c in found.components]
    assert sums / 300 == pytest.approx([4.0, 1.0, 0.25], rel=0.1)


def test_seeds_that_change_together_are_not_told_apart():
    frame = pd.DataFrame({"a": [0, 1, 2], "b": [0, 1, 2], "v": [1.0, 2.0, 4.0]})
    found = variance_components(frame, value="v", nested=["a", "b"])
    assert [c.name for c in found.components] == ["a + b + residual"]
    assert found.components[0].variance == pytest.approx(7 / 3)


def test_a_seed_with_one_value_is_named_as_fixed():
    frame = pd.DataFrame({"a": [0, 0, 0], "b": [0, 1, 2], "v": [1.0, 2.0, 4.0]})
    found = variance_components(frame, value="v", nested=["a", "b"])
    assert found.fixed == ("a",)
    assert [c.name for c in found.components] == ["b + residual"]


def test_an_estimate_below_zero_is_cut_and_still_told():
    frame = pd.DataFrame({"a": [0, 0, 1, 1], "v": [0.0, 1.0, 0.0, 1.0]})
    first, second = variance_components(frame, value="v", nested=["a"]).components
    assert (first.variance, first.raw) == pytest.approx((0.0, -0.25))
    assert (second.variance, second.share) == pytest.approx((0.5, 1.0))


def test_components_without_data_or_without_variance_are_not_numbers():
    frame = pd.DataFrame({"a": [0, 1], "v": [0.5, np.nan]})
    found = variance_components(frame, value="v", nested=["a"])
    assert (found.components, found.n_ok, found.n) == ((), 1, 2)
    assert "got 1" in found.reason
    same = variance_components(frame.assign(v=0.5), value="v", nested=["a"])
    assert same.total == 0.0
    assert np.isnan(same.components[0].share)


def test_directions_become_costs():
    values = [0.2, np.nan, np.inf, 0.9]
    gold = [0.5, 0.5, 0.5, np.nan]
    lost = np.nan
    assert to_cost(values, "min") == pytest.approx([0.2, lost, lost, 0.9], nan_ok=True)
    assert to_cost(values, "max") == pytest.approx([-0.2, lost, lost, -0.9], nan_ok=True)
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
    found = average(pd.DataFrame({"s": seeds, "v": [1.0, np.nan, 5.0]}), ["s"], "v")
    assert found["v"].tolist() == [1.0, 5.0]
    assert (found["n_ok"].tolist(), found["n"].tolist()) == ([1, 1], [2, 1])


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
    found = one_metric(runs, values, "m")
    assert found["method"].tolist() == ["x", "y", "z", "z"]
    assert found["unlearned"].to_numpy() == pytest.approx([0.1] + [np.nan] * 3, nan_ok=True)
    assert found["gold"].to_numpy() == pytest.approx([0.2] + [np.nan] * 3, nan_ok=True)
    assert found["original"].isna().all()
    with pytest.raises(ValueError, match="one value of m per run"):
        one_metric(runs, pd.concat([values, values]), "m")


def test_statistics_need_no_torch_and_no_tracking(python):
    code = "import sys, multirun_analysis.statistics as s; "
    code += (
        "print(sorted({'torch', 'hydra', 'erasure', 'mlflow', 'statsmodels'} & {*sys.modules}))"
    )
    assert python("-W", "error", "-c", code).stdout == "[]\n"
