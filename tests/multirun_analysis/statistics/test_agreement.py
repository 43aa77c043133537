"""Rank correlations against scipy, statsmodels, full enumeration and hand values."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from multirun_analysis.statistics.agreement import (
    agreement_table,
    metric_agreement,
    smallest_p,
)
from multirun_analysis.statistics.orders import concordance


def rng(seed=0):
    return np.random.default_rng(seed)


def runs(methods=4, seeds=6, seed=0, shared=0.0):
    random = rng(seed)
    method = np.repeat([f"m{i}" for i in range(methods)], seeds)
    level = np.repeat(np.arange(methods, dtype=float), seeds)
    a = random.normal(size=methods * seeds)
    b = shared * a + random.normal(size=methods * seeds)
    return pd.DataFrame({"method": method, "a": 5 * level + a, "b": 5 * level + b})


def one_group(n):
    return np.zeros(n, dtype=np.intp)


@pytest.mark.parametrize(("n", "p"), [(4, 0.0833), (5, 0.0167), (6, 0.0028)])
def test_the_smallest_p_is_the_one_of_the_specification_and_is_reached(n, p):
    assert smallest_p(n) == pytest.approx(p, abs=5e-5)
    frame = pd.DataFrame({"method": range(n), "a": range(n), "b": range(n)})
    for statistic in ("kendall", "spearman"):
        correlation = metric_agreement(frame, "a", "b", statistic=statistic).between
        assert correlation.value == 1.0
        assert correlation.p == pytest.approx(smallest_p(n))
        assert correlation.decisive() == (n > 4)


def test_the_smallest_p_of_groups_and_of_many():
    assert smallest_p(3, 3) == pytest.approx(2 / 36)
    assert smallest_p(1) == smallest_p() == 1.0
    assert smallest_p(5000) == 0.0


@pytest.mark.parametrize("n", [3, 8, 30])
def test_tau_without_ties_is_scipy_s_exact(n):
    x, y = rng(n).normal(size=(2, n))
    expected = stats.kendalltau(x, y, method="exact")
    correlation = metric_agreement(pd.DataFrame({"method": "m", "a": x, "b": y}), "a", "b").runs
    assert (correlation.value, correlation.p) == pytest.approx(
        (expected.statistic, expected.pvalue)
    )


def test_tau_with_ties_is_scipy_s_approximation_for_many():
    x, y = rng(1).integers(0, 6, size=(2, 50)).astype(float)
    expected = stats.kendalltau(x, y, method="asymptotic")
    kendall = concordance(x, y, one_group(50))
    assert kendall.score / kendall.scale == pytest.approx(expected.statistic)
    assert kendall.p == pytest.approx(expected.pvalue)


def test_tau_of_more_than_can_be_counted_is_scipy_s_approximation():
    x, y = rng(2).normal(size=(2, 90))
    expected = stats.kendalltau(x, y, method="asymptotic").pvalue
    assert concordance(x, y, one_group(90)).p == pytest.approx(expected)


def test_tau_with_ties_is_exact_for_few():
    x, y = np.array([1.0, 1, 2, 3, 4]), np.array([1.0, 2, 2, 3, 5])
    taus = [stats.kendalltau(x, order).statistic for order in permutations(y)]
    expected = np.mean(np.abs(taus) >= abs(stats.kendalltau(x, y).statistic) - 1e-9)
    assert concordance(x, y, one_group(5)).p == pytest.approx(expected)


def test_tau_within_groups_has_the_distribution_of_all_orders_within_groups():
    x, y = np.array([1.0, 2, 3, 5, 5, 9]), np.array([2.0, 1, 3, 7, 8, 6])
    codes = np.array([0, 0, 0, 1, 1, 1])
    kendall = concordance(x, y, codes)

    def score(b):
        pairs = [(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5)]
        return sum(np.sign(x[i] - x[j]) * np.sign(b[i] - b[j]) for i, j in pairs)

    scores = [
        score([*first, *second]) for first in permutations(y[:3]) for second in permutations(y[3:])
    ]
    assert kendall.score == score(y) == -1.0
    assert kendall.scale == pytest.approx(30**0.5)
    assert kendall.p == pytest.approx(np.mean(np.abs(scores) >= 1.0))


def test_a_group_of_ties_adds_nothing_to_the_approximation():
    x, y = rng(4).normal(size=(2, 90))
    alone = concordance(x, y, one_group(90))
    codes = np.repeat([0, 1], [90, 2])
    both = concordance(np.append(x, [1, 1]), np.append(y, [1, 1]), codes)
    assert (both.score, both.p) == (alone.score, pytest.approx(alone.p))


@pytest.mark.parametrize("n", [4, 20])
def test_rho_is_scipy_s(n):
    x, y = rng(n).integers(0, 9, size=(2, n)).astype(float)
    correlation = metric_agreement(
        pd.DataFrame({"method": "m", "a": x, "b": y}), "a", "b", statistic="spearman"
    ).runs
    expected = stats.spearmanr(x, y)
    assert correlation.value == pytest.approx(expected.statistic)
    if n > 7:
        assert correlation.p == pytest.approx(expected.pvalue)
    else:
        rhos = [stats.spearmanr(x, order).statistic for order in permutations(y)]
        exact = np.mean(np.abs(rhos) >= abs(expected.statistic) - 1e-9)
        assert correlation.p == pytest.approx(exact)


def test_partial_rho_is_the_regression_of_ranks_with_a_constant_per_method():
    import statsmodels.formula.api as smf

    frame = runs(shared=1.0, seed=3)
    ranks = frame.assign(a=frame["a"].rank(), b=frame["b"].rank())
    fit = smf.ols("b ~ a + C(method)", ranks).fit()
    t, df = fit.tvalues["a"], fit.df_resid
    correlation = metric_agreement(frame, "a", "b", statistic="spearman").within
    assert correlation.value == pytest.approx(t / np.sqrt(t**2 + df))
    assert correlation.p == pytest.approx(fit.pvalues["a"])


@pytest.mark.parametrize("statistic", ["kendall", "spearman"])
def test_metrics_that_only_separate_methods_agree_over_runs_and_not_within(statistic):
    agreement = metric_agreement(runs(seeds=20), "a", "b", statistic=statistic)
    assert agreement.runs.value > 0.6
    assert agreement.between.value == 1.0
    assert abs(agreement.within.value) < 0.25
    assert agreement.within.p > 0.05
    shared = metric_agreement(runs(seeds=20, shared=3.0), "a", "b", statistic=statistic)
    assert shared.within.value > 0.7
    assert shared.within.p < 1e-6


def test_missing_values_are_counted_and_left_out():
    frame = runs()
    full = metric_agreement(frame, "a", "b")
    more = pd.concat([frame, frame[:3].assign(a=np.nan), frame[:2].assign(method=None)])
    agreement = metric_agreement(more, "a", "b")
    assert (agreement.n_ok, agreement.n, full.n_ok) == (24, 29, 24)
    assert (agreement.runs, agreement.within, agreement.between) == (
        full.runs,
        full.within,
        full.between,
    )


@pytest.mark.parametrize("statistic", ["kendall", "spearman"])
@pytest.mark.parametrize(
    ("a", "method", "level", "reason"),
    [
        ([1.0, 1.0, 1.0, 1.0], "xxyy", "runs", "does not vary"),
        ([0.3, 0.1 + 0.2, 0.3, 0.3], "xxyy", "runs", "does not vary"),
        ([1.0, 1.0, 2.0, 2.0], "xxyy", "within", "does not vary"),
        ([1.0, 2.0, 3.0, 4.0], "wxyz", "within", "no method has 2 runs"),
        ([1.0, 2.0, 3.0, 4.0], "xxxx", "between", "needs 2 units, got 1"),
        ([1.0, np.nan, np.nan, np.nan], "xxyy", "runs", "needs 2 units, got 1"),
        ([np.nan] * 4, "xxyy", "between", "needs 2 units, got 0"),
    ],
)
def test_what_has_no_correlation_is_refused(a, method, level, reason, statistic):
    frame = pd.DataFrame({"method": list(method), "a": a, "b": [1.0, 2.0, 3.0, 5.0]})
    correlation = getattr(metric_agreement(frame, "a", "b", statistic=statistic), level)
    assert reason in correlation.reason
    assert np.isnan([correlation.value, correlation.p]).all()


def test_a_perfect_partial_rho_has_the_smallest_p():
    frame = runs(methods=2, seeds=3)
    correlation = metric_agreement(
        frame.assign(b=frame["a"]), "a", "b", statistic="spearman"
    ).within
    assert (correlation.value, correlation.p) == pytest.approx((1.0, 2 / 36))


def test_too_few_runs_for_a_partial_rho_are_refused():
    frame = pd.DataFrame({"method": list("xxy"), "a": [1.0, 2.0, 3.0], "b": [1.0, 3.0, 2.0]})
    correlation = metric_agreement(frame, "a", "b", statistic="spearman").within
    assert correlation.reason == "3 runs of 2 methods are too few"


def test_the_table_has_a_row_per_pair():
    frame = runs().assign(c=lambda f: -f["a"])
    table = agreement_table(frame, ["a", "b", "c"])
    assert table[["first", "second"]].to_numpy().tolist() == [["a", "b"], ["a", "c"], ["b", "c"]]
    assert table["runs_value"][1] == table["within_value"][1] == table["between_value"][1] == -1.0
    assert (table["between_smallest_p"] == smallest_p(4)).all()


def test_two_thousand_runs_have_scipy_s_approximation():
    frame = runs(methods=40, seeds=50)
    agreement = metric_agreement(frame, "a", "b")
    expected = stats.kendalltau(frame["a"], frame["b"])
    assert (agreement.runs.value, agreement.runs.p) == pytest.approx(
        (expected.statistic, expected.pvalue)
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: metric_agreement(f, "a", "z"), "columns .'z'"),
        (lambda f: metric_agreement(f, "a", "b", statistic="pearson"), "statistic must be"),
        (lambda f: agreement_table(f, ["a"]), "metrics must be at least 2"),
    ],
)
def test_wrong_calls_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call(runs())
