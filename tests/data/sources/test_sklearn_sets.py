"""Tables that scikit-learn bundles, makes, or fetches from OpenML."""

import gzip
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from crafted_tabular import craft, openml_answers
from loopback import serving
from sklearn import datasets
from tabular_trial import run_trial
from trials import assemble

from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, DataError
from erasure.core.seeding import stream
from erasure.core.splits import DataSplits
from erasure.core.task import silent
from erasure.core.task_types import Multilabel
from erasure.data.sources.openml import OpenMl
from erasure.data.sources.sklearn_sets import Bundled
from erasure.data.sources.synthetic import Synthetic, SyntheticMultilabel
from erasure.training.tensor_cache import TensorCache
from erasure.trial.unlearning import unlearn

HOME = DataConfig()


def matrix(pool):
    return torch.stack([column.values for column in pool.features.values()], dim=1)


@pytest.mark.parametrize("name", ["breast_cancer", "wine", "iris"])
def test_bundled_tables_are_those_of_sklearn(name):
    bunch = getattr(datasets, f"load_{name}")()
    pool = Bundled(name=name)(HOME)
    assert list(pool.features) == [str(feature) for feature in bunch.feature_names]
    assert torch.equal(matrix(pool), torch.from_numpy(bunch.data))
    assert torch.equal(pool.targets, torch.from_numpy(bunch.target).long())
    assert pool.class_names == tuple(map(str, bunch.target_names))


def test_diabetes_is_cut_at_the_median_of_all_rows_and_not_scaled_by_them():
    bunch = datasets.load_diabetes(scaled=False)
    pool = Bundled(name="diabetes")(HOME)
    assert pool.targets.bincount().tolist() == [221, 221]
    low, high = (bunch.target[pool.targets.numpy() == label] for label in (0, 1))
    assert low.max() < high.min()
    assert pool.features["age"].values.tolist() == bunch.data[:, 0].tolist()
    assert pool.features["sex"].names == ("1", "2")
    assert torch.equal(pool.features["sex"].values + 1, torch.from_numpy(bunch.data[:, 1]).long())
    assert pool.fitted(torch.arange(442)).input_shape == (11,)


def test_synthetic_tables_are_those_of_sklearn_from_their_seed():
    inputs, labels = datasets.make_classification(
        2000, 20, n_informative=8, n_redundant=0, n_classes=4, n_clusters_per_class=1,
        flip_y=0.1, random_state=0,
    )  # fmt: skip
    pool = Synthetic()(HOME)
    assert torch.equal(matrix(pool), torch.from_numpy(inputs))
    assert torch.equal(pool.targets, torch.from_numpy(labels).long())
    assert Synthetic()(HOME).fingerprint == pool.fingerprint
    others = [Synthetic(seed=1), Synthetic(flip=0.0), Synthetic(separation=2.0)]
    assert len({pool.fingerprint, *(other(HOME).fingerprint for other in others)}) == 4


def test_documents_have_any_number_of_topics_and_words():
    """Four deviations each: of 10,000 draws at 2/5, and of a Poisson mean of 50."""
    pool = SyntheticMultilabel()(HOME)
    assert pool.task_type == Multilabel()
    assert pool.targets.shape == (2000, 5)
    assert pool.targets.double().mean().item() == pytest.approx(0.4, abs=4 * 0.24**0.5 / 100)
    assert pool.targets.sum(dim=1).unique().tolist() == [0, 1, 2, 3, 4, 5]
    words = matrix(pool)
    assert torch.equal(words, words.round())
    assert words.sum(dim=1).mean().item() == pytest.approx(50, abs=4 * (50 / 2000) ** 0.5)
    assert SyntheticMultilabel(seed=1)(HOME).fingerprint != pool.fingerprint
    assert SyntheticMultilabel()(HOME).fingerprint == pool.fingerprint


def test_words_tell_the_topics_and_nothing_tells_a_document_without_any():
    """Mean counts of documents with one topic only differ between topics; of none they agree."""
    pool = SyntheticMultilabel(samples=20_000, classes=2, labels=1, features=4)(HOME)
    words, on = matrix(pool), pool.targets.sum(dim=1)
    none, first, second, both = (
        words[rows].mean(dim=0)
        for rows in (
            on == 0,
            (on == 1) & (pool.targets[:, 0] == 1),
            (on == 1) & (pool.targets[:, 1] == 1),
            on == 2,
        )
    )
    torch.testing.assert_close(none, torch.full_like(none, 12.5), rtol=0.02, atol=0)
    assert (first - second).abs().max() > 1.0
    torch.testing.assert_close(both, (first + second) / 2, rtol=0.03, atol=0.05)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (Synthetic, {"samples": 0}, "samples must be >= 1, got 0"),
        (Synthetic, {"informative": 21}, "informative must be <= features=20, got 21"),
        (Synthetic, {"classes": 1}, "classes must be >= 2, got 1"),
        (Synthetic, {"informative": 2, "classes": 5}, "classes must be <= 2 .* informative=2"),
        (Synthetic, {"flip": 1.0}, r"flip must be in \[0, 1\), got 1.0"),
        (Synthetic, {"separation": 0.0}, "separation must be > 0, got 0.0"),
        (SyntheticMultilabel, {"length": 0.5}, "length must be >= 1, got 0.5"),
        (SyntheticMultilabel, {"labels": 5}, r"labels must be in \(0, 5\), got 5"),
        (OpenMl, {}, "name and data_id exclude each other"),
        (OpenMl, {"name": "a", "version": 1, "data_id": 2}, "name and data_id exclude"),
        (OpenMl, {"name": "credit-g"}, "version must be a number with name"),
        (OpenMl, {"data_id": 31, "version": 1}, "version must be .* null with data_id, got 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(kind, fields, message):
    with pytest.raises(ConfigError, match=message):
        kind(**fields)


CREDIT = OpenMl(name="credit-g", version=1)


@contextmanager
def served(monkeypatch):
    """Serve credit-g where scikit-learn looks for OpenML; yields what was asked for."""
    answers = {}
    with serving(lambda path: answers.get(path.lstrip("/"))) as (host, asked):
        answers.update(openml_answers(host=host))
        for name in ("_SEARCH_NAME", "_DATA_INFO", "_DATA_FEATURES", "_DATA_QUALITIES"):
            known = getattr(datasets._openml, name).replace("https://www.openml.org", host)
            monkeypatch.setattr(datasets._openml, name, known)
        yield asked


def test_openml_is_fetched_once_and_kept(tmp_path, monkeypatch):
    data_config = DataConfig(root=tmp_path)
    with served(monkeypatch) as asked:
        pool = CREDIT(data_config)
        assert len(asked) == 5
        assert CREDIT(data_config).fingerprint == pool.fingerprint
        assert OpenMl(data_id=31)(data_config).fingerprint == pool.fingerprint
        assert len(asked) == 5
    assert pool.class_names == ("bad", "good")
    assert list(pool.features) == ["checking_status", "duration", "credit_amount", "housing"]
    assert pool.features["housing"].names == ("for free", "own", "rent")
    assert pool.features["duration"].kind == "number"
    assert len(pool.targets) == 120


def test_openml_is_read_from_files_of_its_own_format_without_a_network(tmp_path):
    craft(tmp_path, "openml")
    pool = CREDIT(DataConfig(root=tmp_path, download=False))
    assert pool.fitted(torch.arange(90)).input_shape == (2 + 3 + 3,)
    other = OpenMl(name="credit-g", version=1, target="housing", ignore=["duration"])
    pool = other(DataConfig(root=tmp_path, download=False))
    assert list(pool.features) == ["checking_status", "credit_amount"]
    assert pool.class_names == ("for free", "own", "rent")


def test_openml_without_network_or_files_says_where_files_go(tmp_path, monkeypatch):
    message = r"openml credit-g-1 could not be loaded .* put .* into .*openml"
    with pytest.raises(DataError, match=rf"{message}.*data\.root") as caught:
        CREDIT(DataConfig(root=tmp_path, download=False))
    assert "data.download=false" in str(caught.value)
    with served(monkeypatch):
        pass  # the address is now that of a server that is gone
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    with pytest.raises(DataError, match=message):
        CREDIT(DataConfig(root=tmp_path))
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix == ".gz"]
    assert not list(tmp_path.glob("prepared/openml*/*"))


@pytest.mark.parametrize("how", ["cut", "other", "noise"])
def test_a_damaged_archive_of_openml_is_named(tmp_path, how):
    craft(tmp_path, "openml")
    (archive,) = tmp_path.rglob("credit-g.arff.gz")
    content = archive.read_bytes()
    damaged = {
        "cut": content[: len(content) // 2],
        "other": gzip.compress(b"@RELATION another"),
        "noise": content[:40] + bytes(100) + content[140:],
    }
    archive.write_bytes(damaged[how])
    with pytest.raises(DataError, match=r"openml"):
        CREDIT(DataConfig(root=tmp_path, download=False))


@pytest.mark.parametrize("method", ["scrub", "ssd"])
@pytest.mark.parametrize("option", ["iris", "openml"])
def test_a_trial_runs_on_bundled_made_and_fetched_tables(compose_config, tmp_path, option, method):
    craft(tmp_path, option)
    run_trial(compose_config, tmp_path, method, f"dataset={option}")


@pytest.mark.parametrize("method", ["scrub", "ssd"])
def test_methods_unlearn_where_samples_have_several_labels(compose_config, tmp_path, method):
    quick = ["trainer.fit.epochs=2", "dataset.samples=300", "tracking=none", "device=cpu"]
    cfg = compose_config("dataset=synthetic_multilabel", f"unlearner={method}", *quick)
    parts = assemble(cfg)
    train = DataSplits.of(parts.data.pool, parts.data.indices).train
    original = parts.trainer(parts.fresh(), train, stream(0, "train"))
    model, properties = unlearn(parts, original, None, TensorCache(tmp_path), silent)
    assert properties["relative_weight_change"] > 0.0
    assert model(parts.data.pool.fetch(parts.data.indices.test)).shape == (60, 5)


def test_a_data_set_brings_its_model_and_trainer_and_the_command_line_wins(compose_config):
    chosen = compose_config("dataset=adult")
    assert (chosen.model.hidden, chosen.trainer.fit.epochs) == ([100], 20)
    chosen = compose_config("dataset=adult", "model=mlp_3", "trainer=adam")
    assert (chosen.model.hidden, chosen.trainer.fit.epochs) == ([100] * 3, 30)
    assert compose_config("dataset=iris", "model=logistic").model.hidden == []


def test_numbers_of_a_bundled_table_can_be_chosen_by(tmp_path):
    pool = Bundled(name="iris")(HOME)
    width = pool.attributes["petal width (cm)"]
    assert width.having([0.2]).sum() == int(np.sum(datasets.load_iris().data[:, 3] == 0.2))
