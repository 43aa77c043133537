"""Paired comparisons against scipy, statsmodels and hand values."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from multirun_analysis.statistics.comparison import (
    cliffs_delta,
    compare,
    correct,
    holm,
    signed_rank,
)
from multirun_analysis.statistics.paired import compare_to_baseline, compare_to_gold


def rng(seed=0):
    return np.random.default_rng(seed)


def runs_of(method, values, gold=0.5, split=0):
    n = len(values)
    seeds = range(n)
    return pd.DataFrame(
        {"method": method, "block": "b", "seed_split": split, "seed_train": seeds}
        | {"unlearned": values, "gold": gold}
    )


ON = ["block", "seed_split", "seed_train"]


@pytest.mark.parametrize("n", [2, 5, 10, 25])
def test_signed_ranks_are_exact_as_scipy_s(n):
    d = rng(n).normal(0.3, size=n)
    assert signed_rank(d)[0] == pytest.approx(stats.wilcoxon(d, method="exact").pvalue)


@pytest.mark.parametrize("seed", range(5))
def test_signed_ranks_are_exact_with_ties_too(seed):
    d = rng(seed).integers(-3, 6, size=9).astype(float)
    d = d[d != 0]
    expected = stats.wilcoxon(d, method=stats.PermutationMethod(n_resamples=np.inf)).pvalue
    assert signed_rank(d)[0] == pytest.approx(expected)


def test_many_pairs_take_the_normal_approximation():
    d = rng().normal(0.2, size=40)
    assert signed_rank(d)[0] == pytest.approx(stats.wilcoxon(d, method="asymptotic").pvalue)


@pytest.mark.parametrize(("n", "p"), [(5, 0.0625), (6, 0.03125), (10, 0.001953125)])
def test_the_smallest_p_is_the_one_of_the_specification_and_is_reached(n, p):
    comparison = compare(np.arange(1.0, n + 1), np.zeros(n))
    assert comparison.smallest_p == comparison.p_wilcoxon == p
    assert comparison.decisive == comparison.significant == (p <= 0.05)


def test_equal_pairs_leave_fewer_to_test_with():
    comparison = compare([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [0.0, 0.0, 0.0, 4.0, 5.0, 6.0])
    assert (comparison.lower, comparison.equal, comparison.higher) == (0, 3, 3)
    assert comparison.smallest_p == 2 / 2**3


def test_differences_equal_up_to_rounding_are_ties():
    comparison = compare([0.3, 0.5, 0.3], [0.1, 0.3, 0.1 + 0.2])
    assert (comparison.equal, comparison.higher) == (1, 2)
    assert comparison.p_wilcoxon == 0.5


def test_paired_t_and_interval_are_scipy_s():
    x, y = rng().normal(size=(2, 8))
    expected = stats.ttest_rel(x, y)
    comparison = compare(x, y)
    assert comparison.p_t == pytest.approx(expected.pvalue)
    ends = expected.confidence_interval(0.95)
    assert (comparison.difference.low, comparison.difference.high) == pytest.approx(
        (ends.low, ends.high)
    )
    assert comparison.cohen_dz == pytest.approx(np.mean(x - y) / np.std(x - y, ddof=1))
    assert comparison.cohen_dz == pytest.approx(expected.statistic / 8**0.5)


@pytest.mark.parametrize(
    ("x", "p"), [([0.3] * 4, 0.125), ([0.1] * 4, 1.0)], ids=["shifted", "equal"]
)
def test_differences_without_spread_have_no_t(x, p):
    comparison = compare(x, [0.1] * 4)
    assert np.isnan([comparison.p_t, comparison.cohen_dz]).all()
    assert comparison.p_wilcoxon == p
    assert comparison.difference.half_width == 0.0


def test_cliff_s_delta_counts_all_pairs():
    x, y = rng().integers(0, 5, size=(2, 30)).astype(float)
    assert cliffs_delta(x, y) == pytest.approx(np.sign(x[:, None] - y).mean())
    assert cliffs_delta(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 1.0
    u = stats.mannwhitneyu(x, y).statistic
    assert cliffs_delta(x, y) == pytest.approx(2 * u / 900 - 1)
    assert np.isnan(cliffs_delta(np.array([np.nan]), x))


def test_holm_is_statsmodels_s_and_leaves_out_what_was_not_tested():
    from statsmodels.stats.multitest import multipletests

    p = rng().random(12) ** 3
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    with_gap = np.insert(p, 4, np.nan)
    assert np.delete(holm(with_gap), 4) == pytest.approx(holm(p))
    assert np.isnan(holm(with_gap)[4])
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_six_pairs_decide_for_one_method_but_not_for_a_family_of_two():
    pair = compare(np.arange(1.0, 7), np.zeros(6))
    assert pair.decisive
    family = correct([pair, pair])
    assert [c.smallest_p_holm for c in family] == [0.0625, 0.0625]
    assert not any(c.decisive or c.significant for c in family)
    assert {c.family for c in family} == {2}


def test_one_pair_is_refused_and_does_not_join_the_family():
    one = compare([1.0, np.nan, 2.0], [0.5, 0.5, np.nan])
    assert (one.difference.n_ok, one.difference.n) == (1, 3)
    assert "2 pairs, got 1" in one.reason
    assert np.isnan([one.p_wilcoxon, one.p_t, one.smallest_p, one.cliffs_delta]).all()
    assert not one.decisive
    many = compare(np.arange(1.0, 7), np.zeros(6))
    corrected = correct([one, many])
    assert corrected[1].p_wilcoxon_holm == many.p_wilcoxon
    assert corrected[1].family == 1


def test_a_baseline_is_compared_by_cost_on_the_same_seeds():
    frame = pd.concat(
        [
            runs_of("near", [0.51, 0.48, 0.51, 0.52, 0.49, 0.5]),
            runs_of("far", [0.61, 0.35, 0.63, 0.32, 0.7, 0.58])[::-1],
        ]
    )
    (comparison,) = compare_to_baseline(frame, baseline="far", on=ON, direction="closer_to_gold")
    expected = np.array([0.01, 0.02, 0.01, 0.02, 0.01, 0]) - [0.11, 0.15, 0.13, 0.18, 0.2, 0.08]
    assert (comparison.subject, comparison.reference) == ("near", "far")
    assert comparison.difference.mean == pytest.approx(expected.mean())
    assert (comparison.lower, comparison.p_wilcoxon) == (6, 0.03125)
    (up,) = compare_to_baseline(frame, baseline="far", on=ON, direction="max")
    assert up.difference.mean == pytest.approx(-(3.01 - 3.19) / 6)


def test_seeds_outside_the_key_are_averaged_first():
    near = runs_of("near", [0.1, 0.2, 0.3])
    again = near.assign(unlearned=[0.3, np.nan, 0.5])
    frame = pd.concat([near, again, runs_of("base", [0.0, 0.0, 0.0])])
    (comparison,) = compare_to_baseline(frame, baseline="base", on=ON, direction="min")
    assert comparison.difference.mean == pytest.approx(np.mean([0.2, 0.2, 0.4]))
    assert (comparison.partial, comparison.difference.n_ok) == (1, 3)


def test_gold_is_compared_by_signed_value_and_counted_once_per_seed():
    frame = runs_of("m", [0.6, 0.7, 0.8], gold=[0.5, 0.5, 0.9])
    (comparison,) = compare_to_gold(pd.concat([frame, frame]), on=ON)
    assert comparison.difference.n == 3
    assert comparison.difference.mean == pytest.approx((0.1 + 0.2 - 0.1) / 3)
    assert (comparison.lower, comparison.higher, comparison.reference) == (1, 2, "gold")


def test_unmatched_and_unknown_keys_are_counted_and_do_not_pair():
    """Seeds 0 and 1 against seeds 1 and 2, and two runs of unknown seed."""
    seeds = pd.array([0, 1, None, 1, 2, None], dtype="Int64")
    frame = pd.DataFrame({"method": list("aaabbb"), "s": seeds, "unlearned": [1.0, 2, 3, 5, 6, 7]})
    (comparison,) = compare_to_baseline(frame, baseline="b", on=["s"], direction="min")
    assert (comparison.difference.n_ok, comparison.difference.n) == (1, 5)
    assert comparison.difference.mean == -3.0
    again = frame.assign(s=frame["s"].fillna(3))
    (with_known_keys,) = compare_to_baseline(again, baseline="b", on=["s"], direction="min")
    assert (with_known_keys.difference.n_ok, with_known_keys.difference.n) == (2, 4)


def test_a_comparison_says_whether_so_few_pairs_could_decide():
    frame = pd.concat([runs_of("a", [0.1] * 3), runs_of("b", [0.2] * 3), runs_of("c", [0.3] * 3)])
    comparisons = compare_to_baseline(frame, baseline="b", on=ON, direction="min")
    assert [c.subject for c in comparisons] == ["a", "c"]
    assert [c.difference.mean for c in comparisons] == pytest.approx([-0.1, 0.1])
    assert [c.decisive for c in comparisons] == [False, False]
    assert [c.smallest_p for c in comparisons] == [0.25, 0.25]
    assert [c.smallest_p_holm for c in comparisons] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"baseline": "nobody"}, "baseline must be one of the methods, got 'nobody'"),
        ({"on": ["seed"]}, "columns .'seed'"),
        ({"alpha": 0.0}, "alpha must be in"),
        ({"direction": "info"}, "direction must be one of"),
        ({"direction": "closer_to_gold", "gold": "g"}, "columns .'g'"),
    ],
)
def test_wrong_calls_say_what_is_wrong(change, message):
    frame = pd.concat([runs_of("a", [0.1, 0.2]), runs_of("b", [0.2, 0.3])])
    arguments = {"baseline": "b", "on": ON, "direction": "min"} | change
    with pytest.raises(ValueError, match=message):
        compare_to_baseline(frame, **arguments)
    with pytest.raises(ValueError, match="reference must be 1 values"):
        compare([1.0], [1.0, 2.0])
