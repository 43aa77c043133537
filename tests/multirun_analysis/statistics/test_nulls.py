"""Null bands of retraining against closed forms, simulation and hand values."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from multirun_analysis.statistics.nulls import (
    null_band,
    null_table,
)

GOLDS = [0.50, 0.52, 0.51, 0.49, 0.53]
SD = 0.015811388300841896
BY, SEEDS = ["block"], ["seed_split", "seed_train"]


def runs(method, values, gold=GOLDS, original=0.9, block="b"):
    return pd.DataFrame(
        {
            "block": block,
            "method": method,
            "seed_split": 0,
            "seed_train": range(len(values)),
            "unlearned": values,
            "gold": gold,
            "original": original,
        }
    )


def judged(*frames, **options):
    return null_table(pd.concat(frames), by=BY, seeds=SEEDS, **options).set_index("method")


def test_the_band_is_the_prediction_interval_of_the_golds():
    band = null_band(GOLDS)
    assert (band.mean, band.sd) == pytest.approx((0.51, SD))
    assert (band.golds, band.reason) == (5, "")
    assert band.largest_difference == pytest.approx(0.04)
    assert band.half_width() == pytest.approx(2.776445 * SD * 1.2**0.5, rel=1e-6)
    assert band.half_width(5) == pytest.approx(2.776445 * SD * 0.4**0.5, rel=1e-6)


def test_the_band_for_as_many_seeds_is_the_two_sample_test_with_the_spread_of_golds():
    """With the same spread on both sides, the border of the band has the p of a t-test."""
    band = null_band(GOLDS)
    other = np.array(GOLDS) - 0.51
    border = other + band.mean + band.half_width(5)
    t = (border.mean() - 0.51) / (SD * (2 / 5) ** 0.5)
    assert t == pytest.approx(stats.ttest_ind(border, GOLDS).statistic)
    assert 2 * stats.t.sf(t, 4) == pytest.approx(0.05)


@pytest.mark.parametrize(("golds", "seeds"), [(2, 1), (4, 1), (4, 4)])
def test_a_band_holds_new_golds_as_often_as_it_says(golds, seeds):
    random = np.random.default_rng(golds * 10 + seeds)
    hits = 0
    for _ in range(600):
        drawn = random.normal(3.0, 0.2, size=golds + seeds)
        hits += null_band(drawn[:golds], level=0.9).contains(drawn[golds:].mean(), seeds)
    assert hits / 600 == pytest.approx(0.9, abs=3 * (0.09 / 600) ** 0.5)


@pytest.mark.parametrize(
    ("golds", "mean", "reason"), [([], np.nan, "got 0"), ([0.4, np.nan], 0.4, "got 1")]
)
def test_one_gold_has_no_band(golds, mean, reason):
    band = null_band(golds)
    assert reason in band.reason
    assert band.mean == pytest.approx(mean, nan_ok=True)
    assert np.isnan([band.sd, band.half_width(), band.largest_difference]).all()
    assert band.contains(0.4) is None


def test_equal_golds_have_a_band_of_no_width_that_holds_their_value():
    band = null_band([0.3, 0.1 + 0.2, 0.3])
    assert (band.sd, band.half_width()) == (0.0, 0.0)
    assert band.contains(0.5 - 0.2) is True
    assert band.contains(0.31) is False
    assert np.isnan(band.z(0.3))


def test_the_unknown_is_neither_in_nor_out():
    band = null_band(GOLDS)
    assert band.contains(np.nan) is None
    assert band.contains(0.5, seeds=0) is None


def test_z_needs_five_golds():
    assert null_band(GOLDS).z(0.54) == pytest.approx(0.03 / SD)
    assert np.isnan(null_band(GOLDS[:4]).z(0.54))


def test_the_needed_contrast_is_the_larger_of_spread_and_minimum():
    def needed(golds, **options):
        return judged(runs("a", golds, gold=golds), **options).loc["a", "needed_contrast"]

    assert needed(GOLDS) == pytest.approx(2 * SD)
    assert needed([0.5, 0.501]) == 0.005
    assert needed([0.5]) == 0.005
    assert needed(GOLDS, min_contrast=0.1) == 0.1


def test_cells_in_the_band_are_indistinguishable_from_retraining():
    table = judged(runs("near", np.array(GOLDS) + 0.01), runs("far", np.array(GOLDS) + 0.2))
    assert table["indistinguishable"].to_dict() == {"far": False, "near": True}
    near = table.loc["near"]
    assert (near["mean"], near["gold_mean"], near["units"]) == pytest.approx((0.52, 0.51, 5))
    assert near["high"] - 0.51 == pytest.approx(2.776445 * SD * 0.4**0.5, rel=1e-6)
    assert near["z"] == pytest.approx(0.01 / SD)
    assert (near["contrast"], near["needed_contrast"]) == pytest.approx((0.39, 2 * SD))


def test_a_gold_counts_once_however_many_runs_share_it():
    once = judged(runs("a", GOLDS)).loc["a"]
    many = judged(*[runs(name, GOLDS) for name in "abcde"], runs("a", GOLDS)).loc["a"]
    assert (many["golds"], many["gold_sd"]) == (5, pytest.approx(once["gold_sd"]))
    assert (many["n"], many["units"]) == (10, 5)


def test_blocks_have_bands_of_their_own():
    table = judged(runs("a", GOLDS), runs("a", [0.1, 0.2], gold=[0.1, 0.2], block="c"))
    assert table["golds"].tolist() == [5, 2]
    assert table["gold_mean"].tolist() == pytest.approx([0.51, 0.15])


def test_missing_values_are_counted_and_leave_flags_open():
    lost = [np.nan] * 5
    table = judged(runs("a", [*GOLDS[:4], np.nan]), runs("b", lost))
    assert (table.loc["a", "n_ok"], table.loc["a", "n"], table.loc["a", "units"]) == (4, 5, 4)
    assert table.loc["b", "indistinguishable"] is pd.NA
    assert np.isnan(table.loc["b", "low"])
    alone = judged(runs("a", [0.5], gold=[0.5], original=np.nan)).loc["a"]
    assert alone["indistinguishable"] is pd.NA
    assert alone["not_discriminative"] is pd.NA
    assert alone["reason"] == "a band needs 2 gold models, got 1"


@pytest.mark.parametrize(
    ("original", "flag"), [(0.51 + 2.1 * SD, False), (0.51 + 1.9 * SD, True), (0.51, True)]
)
def test_a_metric_that_hardly_moves_cannot_discriminate(original, flag):
    table = judged(runs("a", GOLDS, original=original))
    assert bool(table.loc["a", "not_discriminative"]) is flag


def test_the_minimum_contrast_is_met_exactly_at_its_value():
    one_gold = runs("a", [0.3], gold=[0.3], original=0.305)
    assert bool(judged(one_gold).loc["a", "not_discriminative"]) is False
    assert bool(judged(one_gold, min_contrast=0.006).loc["a", "not_discriminative"]) is True


def test_unknown_seeds_are_one_gold_model():
    frame = runs("a", GOLDS).assign(seed_train=pd.array([None] * 5, dtype="Int64"))
    assert judged(frame).loc["a", "golds"] == 1


def test_no_runs_make_an_empty_table():
    table = null_table(runs("a", GOLDS)[:0], by=BY, seeds=SEEDS)
    assert len(table) == 0
    assert {"block", "method", "indistinguishable", "reason"} <= {*table.columns}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": ["seed"]}, "columns .'seed'"),
        ({"min_contrast": -1.0}, "min_contrast must be 0 or more"),
        ({"min_contrast": np.nan}, "min_contrast must be 0 or more"),
        ({"level": 1.5}, "level must be in"),
    ],
)
def test_wrong_calls_say_what_is_wrong(change, message):
    with pytest.raises(ValueError, match=message):
        null_table(runs("a", GOLDS), **({"by": BY, "seeds": SEEDS} | change))
