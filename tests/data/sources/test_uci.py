"""Tables of the UCI repository: fetched once from a server, kept, and read from what was kept."""

import importlib
import json
from contextlib import contextmanager
from urllib.parse import parse_qs, urlparse

import pytest
import torch
from crafted_tabular import ADULT, craft, csv_text, uci, uci_answer
from loopback import serving
from sklearn.datasets import load_iris
from tabular_trial import run_trial

from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, DataError
from erasure.data.sources.uci import Uci

ROLES = {
    "key": ("ID", "Integer"),
    "size": ("Feature", "Continuous"),
    "colour": ("Feature", "Categorical"),
    "note": ("Other", "Categorical"),
    "kind": ("Target", "Categorical"),
}
COLUMNS = {
    "key": [11, 12, 13, 14, 15, 16],
    "size": [0.1, 0.30000000000000004, "?", 2.5, 1e-7, 3],
    "colour": ["red", "blue", "red", "", "?", "blue"],
    "note": list("uvwxyz"),
    "kind": ["b", "a", "b", "a", "b", "a"],
}


@contextmanager
def served(monkeypatch, *, roles=None, answer=None, csv=None):
    """Serve one data set where the library looks for the repository; yields what was asked."""

    def reply(path):
        if not path.startswith("/api"):
            return (csv or csv_text(COLUMNS)).encode()
        wanted = parse_qs(urlparse(path).query)
        number, name = wanted.get("id", ["7"])[0], wanted.get("name", ["Toy"])[0]
        known = uci_answer(7, "Toy", roles or ROLES, f"{host}/7.csv")
        if number != "7" or name.casefold() not in ("toy", "to"):
            known = {"status": 404, "message": "no such data set"}
        return json.dumps(answer or known).encode()

    with serving(reply) as (host, asked):
        library = importlib.import_module("ucimlrepo.fetch")
        monkeypatch.setattr(library, "API_BASE_URL", f"{host}/api/dataset")
        yield asked


def toy(**fields):
    return Uci(**{"id": 7, "missing": "mean"} | fields)


def test_a_table_is_fetched_once_and_kept(tmp_path, monkeypatch):
    data_config = DataConfig(root=tmp_path)
    with served(monkeypatch) as asked:
        pool = toy()(data_config)
        assert asked == ["/api/dataset?id=7", "/7.csv"]
        again = [
            toy()(data_config),
            toy(id=None, name="toy")(DataConfig(root=tmp_path, download=False)),
        ]
        assert len(asked) == 2
    assert [other.fingerprint for other in again] == [pool.fingerprint] * 2
    kept = sorted(path.name for path in (tmp_path / "uci").iterdir())
    assert [name for name in kept if not name.endswith(".lock")] == ["7.csv", "7.json"]
    assert json.loads((tmp_path / "uci" / "7.json").read_text())["data"]["name"] == "Toy"


def test_roles_are_those_of_the_repository_and_unknown_is_missing(tmp_path, monkeypatch):
    with served(monkeypatch):
        pool = toy()(DataConfig(root=tmp_path))
    assert list(pool.features) == ["size", "colour"]
    assert pool.class_names == ("a", "b")
    assert pool.targets.tolist() == [1, 0, 1, 0, 1, 0]
    size = pool.features["size"].values
    assert size[[0, 1, 3, 4, 5]].tolist() == [0.1, 0.30000000000000004, 2.5, 1e-7, 3.0]
    assert size[2].isnan()
    assert pool.features["colour"].names == ("blue", "red")
    assert pool.features["colour"].values.tolist() == [1, 0, 1, -1, -1, 0]


def test_columns_can_be_given_other_roles(tmp_path, monkeypatch):
    with served(monkeypatch):
        pool = toy(target="colour", missing="drop", attributes=["key", "kind"])(
            DataConfig(root=tmp_path)
        )
    assert list(pool.features) == ["size"]
    assert sorted(pool.attributes) == ["key", "kind", "size"]
    assert pool.attributes["key"].values.tolist() == [11, 12, 16]
    assert pool.class_names == ("blue", "red")


def test_missing_values_are_an_error_unless_something_is_said(tmp_path, monkeypatch):
    with (
        served(monkeypatch),
        pytest.raises(DataError, match=r"size \(1\), colour \(2\) of 6 rows"),
    ):
        Uci(id=7)(DataConfig(root=tmp_path))


def test_a_part_of_a_name_is_refused_with_the_whole(tmp_path, monkeypatch):
    with (
        served(monkeypatch),
        pytest.raises(ConfigError, match=r"name must be .* in full, got 'to', .* 'Toy' \(id 7\)"),
    ):
        toy(id=None, name="to")(DataConfig(root=tmp_path))
    assert not list((tmp_path / "uci").glob("*.csv"))


def test_several_targets_have_to_be_chosen_from(tmp_path, monkeypatch):
    roles = {**ROLES, "note": ("Target", "Categorical")}
    with served(monkeypatch, roles=roles):
        with pytest.raises(ConfigError, match=r"target must be named, .* knows 2: note, kind"):
            toy()(DataConfig(root=tmp_path))
        pool = toy(target="kind")(DataConfig(root=tmp_path))
    assert list(pool.features) == ["size", "colour"]


@pytest.mark.parametrize(
    ("fields", "serving", "reason"),
    [
        ({"id": 8}, {}, "no such data set"),
        ({}, {"answer": {"status": 200}}, "data"),
        ({}, {"csv": "\n"}, "No columns to parse"),
    ],
    ids=["unknown", "another kind of answer", "no table"],
)
def test_what_the_server_cannot_give_is_one_error(tmp_path, monkeypatch, fields, serving, reason):
    with served(monkeypatch, **serving), pytest.raises(DataError) as caught:
        toy(**fields)(DataConfig(root=tmp_path))
    message = str(caught.value)
    assert message.startswith(f"uci {fields.get('id', 7)} could not be loaded from ucimlrepo")
    assert reason in message
    assert str(tmp_path / "uci") in message
    assert not list((tmp_path / "uci").glob("*.csv")) + list((tmp_path / "uci").glob("*.json"))


def test_without_a_network_the_error_says_what_to_put_where(tmp_path, monkeypatch):
    with served(monkeypatch):
        pass  # the address is now that of a server that is gone
    for download in (True, False):
        with pytest.raises(DataError, match=r"put what http.*\?id=7 answers as 7\.json and"):
            toy()(DataConfig(root=tmp_path, download=download))
    assert not list(tmp_path.rglob("*.csv"))


def test_files_placed_by_hand_are_read(tmp_path):
    uci(tmp_path, 7, "Toy", COLUMNS, ROLES)
    assert len(toy()(DataConfig(root=tmp_path, download=False)).targets) == 6


def test_what_was_altered_since_it_was_fetched_is_noticed(tmp_path, monkeypatch):
    with served(monkeypatch):
        toy()(DataConfig(root=tmp_path))
    csv = tmp_path / "uci" / "7.csv"
    csv.write_text(csv.read_text()[:-9])
    with pytest.raises(DataError, match=r"7\.csv is not what was fetched; delete it"):
        toy()(DataConfig(root=tmp_path))
    (tmp_path / "uci" / "7.json").write_text("{")
    with pytest.raises(DataError, match=r"7\.json is no answer of the UCI repository"):
        toy()(DataConfig(root=tmp_path))
    csv.unlink()
    with served(monkeypatch) as asked:
        assert len(toy()(DataConfig(root=tmp_path)).targets) == 6
        assert len(asked) == 2


@pytest.mark.parametrize("fields", [{"id": None}, {"name": "Toy"}])
def test_id_and_name_exclude_each_other(fields):
    with pytest.raises(ConfigError, match="id and name exclude each other"):
        toy(**fields)


ADULT_SETTINGS = {"id": 2, "target": "income", "missing": "mean", "dotted": True}


def test_the_labels_of_adult_are_two_and_its_test_set_is_told_by_their_dots(tmp_path):
    craft(tmp_path, "adult")
    data_config = DataConfig(root=tmp_path, download=False)
    pool = Uci(**ADULT_SETTINGS)(data_config)
    assert pool.class_names == ("<=50K", ">50K")
    assert list(pool.features) == list(ADULT)
    assert pool.official.tolist() == [0] * 160 + [2] * 80
    codes = pool.features["occupation"].values
    assert (codes < 0).sum() == 12 + 6
    assert "?" not in pool.features["occupation"].names
    plain = Uci(**{**ADULT_SETTINGS, "dotted": False})(data_config)
    assert plain.class_names == ("<=50K", "<=50K.", ">50K", ">50K.")
    assert plain.official is None


def test_people_of_adult_without_all_answers_can_be_left_out(tmp_path):
    craft(tmp_path, "adult")
    pool = Uci(**{**ADULT_SETTINGS, "missing": "drop"})(DataConfig(root=tmp_path))
    assert len(pool.targets) == len(pool.official) == 240 - 12 - 6
    assert all(int(pool.features[name].values.min()) >= 0 for name in ("workclass", "occupation"))


def test_iris_of_the_repository_is_that_of_sklearn(tmp_path):
    craft(tmp_path, "iris_uci")
    pool = Uci(id=53)(DataConfig(root=tmp_path))
    values = torch.stack([column.values for column in pool.features.values()], dim=1)
    assert torch.equal(values, torch.from_numpy(load_iris().data))
    assert pool.class_names == ("Iris-setosa", "Iris-versicolor", "Iris-virginica")


@pytest.mark.parametrize("method", ["scrub", "ssd"])
def test_a_trial_runs_on_adult(compose_config, tmp_path, method):
    craft(tmp_path, "adult")
    run_trial(compose_config, tmp_path, method, "dataset=adult", "data.download=false")
