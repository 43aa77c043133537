"""Keys and values in the shapes that MLflow accepts."""

import math
from dataclasses import replace

import pytest

from erasure.results.mlflow.palette import KNOWN, OTHERS, color
from erasure.results.mlflow.payload import cut, legal_keys, metrics_of, params_of


@pytest.mark.parametrize(
    ("key", "legal"),
    [
        ("mia/loss/auc", "mia/loss/auc"),
        ("unlearner.fit.epochs", "unlearner.fit.epochs"),
        ("a@b[0]", "a_b_0_"),
        ("100%", "100_"),
        ("/a//b/", "a/b"),
        ("a/../b/.", "a/_/b/_"),
        ("", "_"),
        ("é", "é"),
    ],
)
def test_keys_become_legal(key, legal):
    assert legal_keys([key]) == {key: legal}


def test_different_keys_stay_different_and_the_same_from_run_to_run():
    keys = legal_keys(["a@b", "a#b", "a_b", "x" * 300, "x" * 301])
    assert len(set(keys.values())) == 5
    assert max(map(len, keys.values())) == 250
    assert keys == legal_keys(["a@b", "a#b", "a_b", "x" * 300, "x" * 301])


def test_mlflow_accepts_what_we_call_legal(tracker, client, result, tmp_path):
    odd = {"a@b": "1", "a#b": "2", "/": "3", "..": "4", "x" * 300: "5", "long": "y" * 7000}
    metrics = {"acc%": 1.0, "a[0]": 2.0, "//": 3.0}
    odd_result = replace(result, trial=replace(result.trial, params=odd), metrics=metrics)
    run = tracker.start(odd_result.trial)
    tracker.finish(run, odd_result, tmp_path / "missing")
    stored = client.get_run(run).data
    assert sorted(stored.params.values())[:5] == ["1", "2", "3", "4", "5"]
    assert stored.params["long"].endswith("y ... [cut, 7000 characters in all]")
    assert len(stored.params["long"]) == 6000
    assert {1.0, 2.0, 3.0} <= set(stored.metrics.values())


def test_text_that_fits_is_not_cut():
    assert cut("abc", 3) == "abc"
    assert [param.value for param in params_of({"a": "y" * 6000})] == ["y" * 6000]


def test_a_curve_never_hides_a_measured_value(result):
    both = replace(result, curves={"gap/avg": [(7, 9.0)]})
    points = {(m.key, m.step, m.value) for m in metrics_of(both)}
    assert ("gap/avg", 0, 0.125) in points
    assert ("gap/avg/curve", 7, 9.0) in points


def test_infinity_is_not_stored_as_a_large_number(result):
    endless = replace(result, metrics={}, curves={"loss": [(0, math.inf)]}, seconds={}, trained=0)
    assert [m.key for m in metrics_of(endless) if math.isnan(m.value)] == ["loss"]


def test_a_method_has_one_color_everywhere():
    assert color("scrub") == KNOWN["scrub"]
    assert color("my_method") == color("my_method")
    assert color("my_method") in OTHERS
    assert len({*KNOWN.values(), *OTHERS}) == len(KNOWN) + len(OTHERS)
