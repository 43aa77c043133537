"""A trial whose samples have several labels each, from the command line to its files."""

import json

import pandas as pd
import pytest
from running import ROOT

WANTED = (
    *("multilabel", "same_population", "kl_to_gold", "zrf"),
    *("f1", "aus", "weight_distance", "cka"),
)


@pytest.mark.slow
def test_every_value_is_measured_or_skipped_and_the_run_succeeds(tmp_path, erasure):
    bundled = (ROOT / "conf" / "evaluator" / "standard.yaml").read_text()
    missing = [name for name in WANTED if f"metrics.{name}:" not in bundled]
    added = [f"+metric@evaluator.metrics.{name}={name}" for name in missing]
    done = erasure(tmp_path, "dataset=synthetic_multilabel", "tracking=none", *added)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "store" / "trials").glob("*/artifacts")
    measured = json.loads((folder / "metrics.json").read_text())
    assert {entry["status"] for entry in measured.values()} <= {"ok", "skipped", "degenerate"}
    assert 0.85 < measured["test/accuracy"]["value"] < 0.95  # of labels; 0.6 have all right
    assert measured["f1/test/macro"]["reason"] == "needs_multiclass"
    assert measured["multilabel/test/map"]["value"] > 0.9
    assert (folder / "loss_histograms.png").is_file()
    rows = pd.read_parquet(folder / "per_sample.parquet")
    assert rows["target"].str.fullmatch("[01]{5}").all()
