"""Ranks over blocks against scipy, scikit-posthocs, published tables and hand values."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from multirun_analysis.statistics.ranks import cliques, critical_difference, rank_methods


def runs(table, gold=None, seeds=1):
    """One row per block, method and seed; ``table`` is blocks x methods."""
    rows = [
        {"block": f"b{i}", "method": f"m{j}", "seed_train": s, "unlearned": value}
        for i, row in enumerate(table)
        for j, value in enumerate(row)
        for s in range(seeds)
    ]
    frame = pd.DataFrame(rows)
    return frame if gold is None else frame.assign(gold=gold)


def random_runs(blocks=12, methods=5, seed=0, **fields):
    table = np.random.default_rng(seed).normal(size=(blocks, methods)) + np.arange(methods)
    return table, runs(table, **fields)


@pytest.mark.parametrize(
    ("k", "n", "expected"),
    [
        *[(5, 5, 2.728), (5, 10, 1.929), (5, 20, 1.364)],
        *[(10, 5, 6.058), (10, 10, 4.284), (10, 20, 3.029)],
        *[(3, 5, 1.482), (3, 10, 1.048), (3, 20, 0.741)],
    ],
)
def test_critical_differences_are_those_of_the_specification(k, n, expected):
    assert critical_difference(k, n) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (3, 2.343), (6, 2.850), (10, 3.164)])
def test_the_quantile_is_that_of_demsar_table_5(k, q):
    assert critical_difference(k, 6) == pytest.approx(q * (k * (k + 1) / 36) ** 0.5, abs=2e-3)


def test_friedman_nemenyi_and_ranks_are_those_of_the_libraries():
    import scikit_posthocs

    table, frame = random_runs()
    ranking = rank_methods(frame, direction="min")
    expected = stats.friedmanchisquare(*table.T)
    assert (ranking.statistic, ranking.p) == pytest.approx(tuple(expected))
    ranks = stats.rankdata(table, axis=1).mean(axis=0)
    assert ranking.average_ranks.sort_index().tolist() == pytest.approx(ranks.tolist())
    assert ranking.average_ranks.is_monotonic_increasing
    nemenyi = scikit_posthocs.posthoc_nemenyi_friedman(table).to_numpy()
    assert ranking.nemenyi.sort_index().sort_index(axis=1).to_numpy() == pytest.approx(nemenyi)
    assert ranking.critical_difference == critical_difference(5, 12)
    assert (ranking.rejects, ranking.few_blocks, ranking.reason) == (True, False, "")


def test_a_pair_is_in_a_clique_exactly_if_nemenyi_does_not_reject_it():
    _table, frame = random_runs(blocks=15, methods=6, seed=3)
    ranking = rank_methods(frame, direction="min")
    names = list(ranking.average_ranks.index)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            together = any(a in group and b in group for group in ranking.cliques)
            assert together == (ranking.nemenyi.loc[a, b] > 0.05)


def test_cliques_are_the_largest_groups_and_leave_out_single_methods():
    ranks = pd.Series({"a": 1.0, "b": 1.5, "c": 2.2, "d": 4.0, "e": 4.5, "f": 9.0})
    assert cliques(ranks, 1.0) == (("a", "b"), ("b", "c"), ("d", "e"))
    assert cliques(ranks, 1.3) == (("a", "b", "c"), ("d", "e"))
    assert cliques(ranks, 20.0) == (("a", "b", "c", "d", "e", "f"),)
    assert cliques(ranks, 0.1) == ()


def test_direction_turns_the_ranks_around():
    table = [[0.1, 0.2, 0.9], [0.3, 0.5, 0.6]]
    up = rank_methods(runs(table), direction="max").average_ranks
    down = rank_methods(runs(table), direction="min").average_ranks
    ideal = rank_methods(runs(table), direction="closer_to_ideal", ideal=0.52).average_ranks
    assert up.to_dict() == {"m2": 1.0, "m1": 2.0, "m0": 3.0}
    assert down.to_dict() == {"m0": 1.0, "m1": 2.0, "m2": 3.0}
    assert ideal.to_dict() == {"m1": 1.0, "m2": 2.0, "m0": 3.0}


def test_the_gap_to_gold_is_ranked_not_the_value():
    frame = runs([[0.1, 0.5, 0.95], [0.9, 0.52, 0.1]], gold=0.55)
    ranking = rank_methods(frame, direction="closer_to_gold")
    assert ranking.average_ranks.to_dict() == {"m1": 1.0, "m2": 2.5, "m0": 2.5}
    assert ranking.shown == {"gold": 0.5}


def test_gold_and_unranked_methods_are_shown_between_the_others():
    frame = runs([[0.1, 0.3, 0.5, 0.2], [0.1, 0.3, 0.5, 0.3]], gold=0.4)
    ranking = rank_methods(frame, direction="min", unranked=["m3"])
    assert list(ranking.average_ranks.index) == ["m0", "m1", "m2"]
    assert ranking.shown == {"gold": 2.5, "m3": pytest.approx((1.5 + 2.0) / 2)}
    assert (ranking.n, len(ranking.cells)) == (6, 6)


def test_seeds_are_averaged_first_and_counted():
    frame = runs([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]], seeds=4)
    frame.loc[0, "unlearned"] = np.nan
    frame.loc[1, "unlearned"] = 9.0
    ranking = rank_methods(frame, direction="min")
    assert ranking.average_ranks.to_dict() == {"m1": 1.5, "m0": 2.0, "m2": 2.5}
    assert (ranking.n_ok, ranking.n, len(ranking.ranks)) == (23, 24, 2)
    first = ranking.cells.iloc[0]
    assert (first["n_ok"], first["n"]) == (3, 4)
    assert first["cost"] == pytest.approx((9.0 + 0.2) / 3)


def test_costs_equal_up_to_rounding_share_their_rank():
    frame = runs([[0.3, 0.5, 0.9], [0.3, 0.5, 0.9]])
    gold = [0.1, 0.3, 0.2] * 2
    ranking = rank_methods(frame.assign(gold=gold), direction="closer_to_gold")
    assert ranking.average_ranks.to_dict() == {"m0": 1.5, "m1": 1.5, "m2": 3.0}


def test_a_block_without_a_method_is_dropped_and_named():
    table = [[1.0, 2.0, 3.0], [1.0, np.nan, 3.0], [2.0, 1.0, 3.0]]
    ranking = rank_methods(runs(table), direction="min")
    assert ranking.dropped == {"b1": ["m1"]}
    assert (len(ranking.ranks), ranking.few_blocks) == (2, True)
    assert ranking.statistic == pytest.approx(stats.friedmanchisquare([1, 2], [2, 1], [3, 3])[0])


def test_one_block_has_ranks_and_no_test():
    ranking = rank_methods(runs([[3.0, 1.0, 2.0]]), direction="min")
    assert ranking.average_ranks.to_dict() == {"m1": 1.0, "m2": 2.0, "m0": 3.0}
    assert ranking.reason == "a test of ranks needs 2 blocks with all 3 methods, got 1 of 1"
    assert np.isnan([ranking.statistic, ranking.p, ranking.critical_difference]).all()
    assert (ranking.nemenyi, ranking.cliques, ranking.rejects) == (None, (), False)


def test_the_refusal_says_which_method_is_missing():
    table = [[1.0, np.nan, 3.0], [1.0, np.nan, 3.0], [1.0, 2.0, np.nan]]
    ranking = rank_methods(runs(table, gold=1.0), direction="min")
    assert ranking.reason.endswith("got 0 of 3 (m1 lacks 2, m2 lacks 1)")
    assert ranking.average_ranks.isna().all()
    assert ranking.shown == {}


@pytest.mark.parametrize(
    ("table", "reason"),
    [([[1.0, 2.0]] * 3, "compare pairs"), ([[1.0] * 3] * 3, "all methods are equal")],
)
def test_what_has_no_test_is_refused(table, reason):
    ranking = rank_methods(runs(table), direction="min")
    assert reason in ranking.reason
    assert np.isnan(ranking.p)


def test_no_difference_is_one_clique_whatever_pairs_say():
    _table, frame = random_runs(blocks=3, methods=3, seed=8)
    ranking = rank_methods(frame, direction="min", alpha=1e-6)
    assert not ranking.rejects
    assert ranking.cliques == (tuple(ranking.average_ranks.index),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"direction": "info"}, "direction must be one of"),
        ({"direction": "closer_to_gold"}, "columns .'gold'"),
        ({"alpha": 1.0}, "alpha must be in"),
        ({"block": "nowhere"}, "columns .'nowhere'"),
    ],
)
def test_wrong_calls_say_what_is_wrong(change, message):
    with pytest.raises(ValueError, match=message):
        rank_methods(runs([[1.0, 2.0]]), **({"direction": "min"} | change))


def test_critical_differences_need_methods_and_blocks():
    with pytest.raises(ValueError, match="methods must be at least 2"):
        critical_difference(1, 5)
    with pytest.raises(ValueError, match="blocks must be at least 1"):
        critical_difference(3, 0)
