"""Behind the averages: attacks on single samples, extremes, and files that are not there."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_curve

from multirun_analysis.read import samples
from multirun_analysis.read.sample_file import rates, read_file
from multirun_analysis.read.samples import EDGES, EXTREMES, FPR, read_samples
from multirun_analysis.report.page.trials import _image


def frame(random, forget=30, heldout=50, part="test", targets=(0, 1)):
    count = forget + heldout
    return pd.DataFrame(
        {
            "id": np.arange(count),
            "part": np.repeat(["forget", part], [forget, heldout]),
            "target": random.choice(targets, count),
            **{
                f"{role}_loss": random.exponential(size=count).astype("float32")
                for role in ("original", "unlearned", "gold")
            },
            "unlearned_predicted": pd.array(random.integers(0, 2, count), dtype="Int64"),
        }
    )


def only(results, method, seeds):
    """Return the results of a method, its trials in folders that do not exist yet."""
    runs = results.runs
    chosen = runs[(runs["method"] == method) & runs["seed"].isin(seeds)]
    return replace(results, runs=chosen.reset_index(drop=True))


@pytest.fixture
def written(results, tmp_path):
    """Two trials of one method with files, and the contents of the files."""
    results_of = only(results, "finetune", (0, 1))
    frames = [frame(np.random.default_rng(seed)) for seed in (0, 1)]
    places = []
    for run, content in zip(results_of.runs["run_id"], frames, strict=True):
        artifacts = tmp_path / run
        artifacts.mkdir()
        content.to_parquet(artifacts / "per_sample.parquet")
        places.append(artifacts.as_uri())
    return replace(results_of, runs=results_of.runs.assign(artifact_uri=places)), frames


def test_rates_are_the_largest_that_accuse_no_more_than_allowed():
    random = np.random.default_rng(0)
    members, others = random.integers(0, 12, 40).astype(float), random.integers(0, 9, 25) * 1.0
    fpr = np.array([0.0, 0.03, 0.04, 0.1, 0.5, 1.0])
    limits = np.append(np.unique(np.append(members, others)), -np.inf)
    expected = [
        max(np.mean(members > t) for t in limits if np.mean(others > t) <= rate + 1e-12)
        for rate in fpr
    ]
    assert rates(members, others, fpr).tolist() == pytest.approx(expected)


def test_rates_without_ties_are_those_of_scikit_learn():
    random = np.random.default_rng(1)
    members, others = random.normal(1, 1, 300), random.normal(size=200)
    labels = np.repeat([1, 0], [300, 200])
    fpr, tpr, _ = roc_curve(labels, np.append(members, others), drop_intermediate=False)
    on_grid = rates(members, others, FPR)
    expected = [tpr[fpr <= rate + 1e-12].max() for rate in FPR]
    assert on_grid == pytest.approx(expected)


def test_trials_of_a_method_are_averaged_and_counted(written):
    sampled, frames = written
    (group,) = read_samples(sampled).groups.values()
    assert (group.trials, group.members, group.non_members) == (2, 30, 50)
    curves = []
    for content in frames:
        losses = content["unlearned_loss"].astype(float)
        forget = content["part"] == "forget"
        curves.append(rates(-losses[forget].to_numpy(), -losses[~forget].to_numpy(), FPR))
    assert group.roc("unlearned") == pytest.approx(np.mean(curves, axis=0))
    pooled = pd.concat(frames).query("part == 'forget'")["gold_loss"]
    expected = np.histogram(pooled.astype(float), EDGES)[0] / len(pooled)
    assert group.shares("gold", "forget") == pytest.approx(expected)
    assert group.shares("gold", "heldout").sum() == pytest.approx(1.0)


def test_extremes_are_those_of_all_trials_together(written):
    sampled, frames = written
    (group,) = read_samples(sampled).groups.values()
    forget = pd.concat([f.assign(seed=s) for s, f in enumerate(frames)]).query("part == 'forget'")
    distance = (forget["unlearned_loss"].astype(float) - forget["gold_loss"].astype(float)).array
    order = np.argsort(distance)
    least = forget.iloc[order[:EXTREMES]]
    assert [(s.seed, s.id) for s in group.least] == list(
        zip(least["seed"], least["id"], strict=True)
    )
    assert [s.distance for s in group.most] == pytest.approx(
        [distance[i] for i in order[: -EXTREMES - 1 : -1]]
    )
    first = group.least[0]
    assert first.predicted["unlearned"] == str(least.iloc[0]["unlearned_predicted"])
    assert first.target == str(least.iloc[0]["target"])
    assert first.picture is None


def test_a_sample_has_the_picture_of_its_trial(written):
    sampled, _ = written
    (group,) = read_samples(sampled).groups.values()
    sample = group.least[0]
    folder = sampled.runs.set_index("run_id").loc[sample.run_id, "artifact_uri"]
    artifacts = folder.removeprefix("file://")
    path = Path(artifacts) / "samples" / f"{sample.id}.png"
    path.parent.mkdir()
    Image.new("L", (200, 100), 128).save(path)
    (group,) = read_samples(sampled).groups.values()
    assert group.least[0].picture == path
    assert _image(path).startswith("data:image/png;base64,")
    assert len(_image(path)) < 1000  # scaled down
    path.write_bytes(path.read_bytes()[:20])
    assert _image(path) == ""
    assert _image(None) == ""


def test_held_out_samples_of_other_classes_are_no_non_members(tmp_path):
    content = frame(np.random.default_rng(0))
    content["target"] = np.where(content["part"] == "forget", 1, content["id"] % 5)
    content.to_parquet(tmp_path / "x.parquet")
    file = read_file(tmp_path / "x.parquet")
    assert set(file.heldout["target"]) == {1}
    assert (file.part, file.roles) == ("test", ["unlearned", "original", "gold"])


def test_samples_with_several_labels_are_compared_with_all(tmp_path):
    content = frame(np.random.default_rng(0), part="val", targets=("01", "10"))
    content.loc[content["part"] == "forget", "target"] = "11"
    content.to_parquet(tmp_path / "x.parquet")
    file = read_file(tmp_path / "x.parquet")
    assert (len(file.heldout["id"]), file.part) == (50, "val")


def test_losses_that_are_missing_are_left_out(tmp_path):
    content = frame(np.random.default_rng(0))
    content["unlearned_loss"] = content["unlearned_loss"].where(content["id"] % 2 == 0, np.nan)
    content["gold_loss"] = pd.array([None] * len(content), dtype="float32[pyarrow]")
    content.to_parquet(tmp_path / "x.parquet")
    file = read_file(tmp_path / "x.parquet")
    assert len(file.losses("unlearned", "forget")) == 15
    assert len(file.losses("gold", "forget")) == 0


def test_a_file_that_is_cut_or_foreign_is_none_and_is_counted(written, tmp_path):
    sampled, frames = written
    places = [uri.removeprefix("file://") for uri in sampled.runs["artifact_uri"]]
    frames[0][["id", "part"]].to_parquet(f"{places[0]}/per_sample.parquet")
    Path(places[1], "per_sample.parquet").write_bytes(b"PAR1")
    read = read_samples(sampled)
    assert read.groups == {}
    assert "2 of 2 finished trials is missing or unreadable" in read.note


def test_files_of_other_machines_are_fetched_in_turn_up_to_a_limit(written, monkeypatch):
    sampled, _ = written
    remote = replace(sampled, runs=sampled.runs.assign(artifact_uri="mlflow-artifacts:/x"))
    here = sampled.runs.set_index("run_id")["artifact_uri"]

    def fetch(uri, run_id, artifact_uri, name):
        return Path(here[run_id].removeprefix("file://")) / name

    monkeypatch.setattr(samples, "artifact", fetch)
    monkeypatch.setattr(samples, "MOST_FETCHED", 1)
    read = read_samples(remote)
    assert next(iter(read.groups.values())).trials == 1
    assert "left out for 1 more" in read.note
