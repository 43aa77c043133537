"""Files of one's own: CSV, Parquet, npz and safetensors."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from crafted_tabular import arrays, craft, overrides, rows_of_people
from safetensors.torch import save_file
from tabular_trial import run_trial
from trials import assemble

from erasure.config.settings import settings_of_config as plain_config
from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, DataError
from erasure.core.task_types import Multilabel
from erasure.data.sources.files import TableFile
from erasure.data.sources.tensor_file import TensorFile
from erasure.trial.causes import trial_fingerprint


@pytest.fixture
def data_config(tmp_path):
    craft(tmp_path, "tabular_csv")
    craft(tmp_path, "tensor_file")
    return DataConfig(root=tmp_path)


def people(data_config, name="table.csv", **fields):
    return TableFile(path=f"{data_config.root}/{name}", **{"target": "label"} | fields)(
        data_config
    )


def write(data_config, text, name="mine.csv"):
    (data_config.root / name).write_text(text)
    return f"{data_config.root}/{name}"


def test_csv_and_parquet_of_the_same_table_are_the_same_data(data_config):
    fields = {"official": "part", "categories": ["person"]}
    one, other = (people(data_config, name, **fields) for name in ("table.csv", "table.parquet"))
    assert one.fingerprint == other.fingerprint
    expected = rows_of_people()
    assert one.features["height"].values.tolist() == expected["height"]
    assert one.features["person"].kind == "category"
    names = [one.features["city"].names[code] for code in one.features["city"].values]
    assert names == expected["city"]
    assert one.official.tolist() == [2 if part == "test" else 0 for part in expected["part"]]
    assert [one.class_names[label] for label in one.targets] == expected["label"]


def test_a_file_is_parsed_once_and_again_when_its_content_changes(data_config, monkeypatch):
    first = people(data_config)
    path = data_config.root / "table.csv"
    with monkeypatch.context() as patch:
        patch.setattr(pd, "read_csv", None)
        path.write_bytes(path.read_bytes())  # a new time of change alone
        assert people(data_config).fingerprint == first.fingerprint
    path.write_text(path.read_text().replace("Bari", "Rome", 1))
    assert people(data_config).fingerprint != first.fingerprint
    assert people(data_config, ignore=["height"]).fingerprint != first.fingerprint


def test_compressed_files_and_other_separators_are_read(data_config):
    frame = pd.DataFrame(rows_of_people())
    frame.to_csv(data_config.root / "table.csv.gz", index=False)
    frame.to_csv(data_config.root / "semi.csv", index=False, sep=";")
    expected = people(data_config).fingerprint
    assert people(data_config, "table.csv.gz").fingerprint == expected
    assert people(data_config, "semi.csv", separator=";").fingerprint == expected


@pytest.mark.parametrize("name", ["none.csv", "none.parquet", "none.npz"])
def test_a_file_that_is_not_there_is_named(data_config, name):
    kind = TensorFile if name.endswith("npz") else TableFile
    with pytest.raises(ConfigError, match=rf"path must be an existing file, got .*{name}"):
        kind(path=f"{data_config.root}/{name}")(data_config)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "is empty"),
        ("a.npz", b"", "is empty"),
        ("a.csv", b"x,label\n", "the table has no rows"),
        ("a.csv", b"x,label\n1,2\n1,2,3\n", "could not be read: .*Expected 2 fields"),
        ("a.csv", b"x,label\n\xff\xfe,1\n", "could not be read: .*utf-8"),
        ("a.csv.gz", b"x,label\n1,2\n", "could not be read: .*[Gg]zip"),
        ("a.parquet", b"PAR1 and no more", "could not be read"),
        ("a.npz", b"PK and no more", "could not be read"),
        ("a.safetensors", b"1234567890", "could not be read"),
    ],
)
def test_a_damaged_file_is_named(data_config, name, content, message):
    (data_config.root / name).write_bytes(content)
    is_table = ".csv" in name or ".parquet" in name
    with pytest.raises(DataError, match=message) as caught:
        (
            people(data_config, name)
            if is_table
            else TensorFile(path=f"{data_config.root}/{name}")(data_config)
        )
    assert name in str(caught.value) or "no rows" in message
    assert not list((data_config.root / "prepared").glob("a*/*"))


def test_a_column_that_is_missing_is_named_with_a_near_one(data_config):
    with pytest.raises(ConfigError, match=r"target must .*'lable'; did you mean 'label'"):
        people(data_config, target="lable")
    with pytest.raises(ConfigError, match=r"official must be among the columns age, .*'parts'"):
        people(data_config, official="parts")


def test_missing_features_and_measurements_as_labels_are_refused(data_config):
    holes = write(data_config, "x,label\n1,a\n,b\n3,b\n")
    with pytest.raises(DataError, match=r"missing values \(NaN\) in x \(1\) of 3 rows"):
        TableFile(path=holes, target="label")(data_config)
    assert TableFile(path=holes, target="label", missing="drop")(data_config).targets.tolist() == [
        0,
        1,
    ]
    real = write(data_config, "x,label\n1,0.5\n2,0.7\n")
    with pytest.raises(DataError, match=r"must hold classes, got numbers such as 0\.5; cut them"):
        TableFile(path=real, target="label")(data_config)


# ---- tensors --------------------------------------------------------------------------------


def tensors(data_config, name="tensors.npz", **fields):
    return TensorFile(path=f"{data_config.root}/{name}", **fields)(data_config)


def saved(data_config, **changes):
    held = {name: value for name, value in (arrays(8) | changes).items() if value is not None}
    np.savez(data_config.root / "mine.npz", **held)
    return tensors(data_config, "mine.npz")


def test_npz_and_safetensors_of_the_same_samples_are_the_same_data(data_config):
    one, other = tensors(data_config), tensors(data_config, "tensors.safetensors")
    assert one.fingerprint == other.fingerprint
    held = arrays()
    every = torch.arange(120)
    assert torch.equal(one.fetch(every), torch.from_numpy(held["inputs"]).float() / 255)
    assert one.targets.tolist() == held["targets"].tolist()
    assert one.class_names == ("zero", "one", "two")
    assert one.attributes["writer"].names == tuple(map(str, range(5, 15)))
    assert one.attributes["writer"].having([7]).tolist() == (held["writer"] == 7).tolist()
    assert one.attributes["weight"].kind == "number"
    assert (
        one.attributes["tags"].having([0, 3]).tolist() == held["tags"][:, [0, 3]].any(1).tolist()
    )


def test_channels_are_normalized(data_config):
    plain, scaled = tensors(data_config), tensors(data_config, mean=[0.5], std=[0.25])
    every = torch.arange(120)
    torch.testing.assert_close(scaled.fetch(every), (plain.fetch(every) - 0.5) / 0.25)


@pytest.mark.parametrize(
    ("inputs", "shape", "dtype"),
    [
        (np.zeros((8, 5)), (5,), torch.float32),
        (np.zeros((8, 4, 4), np.uint8), (1, 4, 4), torch.uint8),
        (np.zeros((8, 3, 4, 4), np.float16), (3, 4, 4), torch.float32),
        (np.zeros((8, 5), np.int64), (5,), torch.float32),
    ],
)
def test_inputs_are_bytes_or_floats_and_pictures_have_a_channel(data_config, inputs, shape, dtype):
    pool = saved(data_config, inputs=inputs)
    assert (pool.input_shape, pool.inputs.dtype) == (shape, dtype)


def test_classes_are_the_numbers_that_occur(data_config):
    pool = saved(data_config, targets=np.array([4.0, 9, 4, 4, 9, 2, 2, 2]))
    assert pool.targets.tolist() == [1, 2, 1, 1, 2, 0, 0, 0]
    assert pool.class_names == ("2", "4", "9")


def test_several_labels_per_sample_make_a_multilabel_task(data_config):
    labels = np.eye(8, 3).astype(np.uint8)
    pool = saved(data_config, targets=labels)
    assert pool.task_type == Multilabel()
    assert pool.targets.tolist() == labels.tolist()
    assert pool.class_names == ("0", "1", "2")


def test_text_is_a_category_and_official_parts_are_kept(data_config):
    texts = np.array(["b", "a", "b", "", "a", "b", "c", "c"])
    pool = saved(data_config, place=texts, official=np.array([0, 0, 0, 0, 1, 2, 2, -1]))
    assert pool.attributes["place"].having(["b"]).tolist() == (texts == "b").tolist()
    assert pool.official.tolist() == [0, 0, 0, 0, 1, 2, 2, -1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": None}, "must hold inputs, it has "),
        ({"targets": None}, "must hold targets, it has inputs, "),
        ({"inputs": np.zeros(8)}, r"inputs must be \(N, F\) or .*got \(8,\)"),
        ({"inputs": np.full((8, 2), np.nan)}, "NaN or infinite numbers in 8 of 8 samples"),
        ({"inputs": np.zeros((7, 2))}, "targets has 8 rows for 7 inputs"),
        ({"targets": np.linspace(0, 1, 8)}, r"whole numbers, got 0\.142857; a measurement"),
        ({"targets": np.full((8, 3), 2)}, r"targets must be in \[0, 1\]"),
        ({"writer": np.array([{}] * 8)}, "could not be read: Object arrays cannot be loaded"),
        ({"official": np.full(8, 3)}, "official must be 0"),
        ({"weight": np.zeros(3)}, "weight has 3 rows for 8 inputs"),
        ({"class_names": np.array(["a", "b"])}, r"targets must be in \[0, 1\]"),
        ({"place": np.zeros((8, 2, 2), bool)}, "place must be"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_arrays_that_do_not_fit_are_refused(data_config, changes, message):
    with pytest.raises(DataError, match=message):
        saved(data_config, **changes)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mean": [0.5]}, "std must have as many values as mean, 1, got 0"),
        ({"mean": [0.5], "std": [0.0]}, "std must be > 0"),
        ({"mean": [0.5] * 2, "std": [0.5] * 2}, "mean must have 1 values, got 2"),
    ],
)
def test_normalization_that_does_not_fit_is_refused(data_config, fields, message):
    with pytest.raises(ConfigError, match=message):
        tensors(data_config, **fields)


def test_other_kinds_of_files_and_too_large_ones_are_refused(data_config):
    with pytest.raises(ConfigError, match=r"path must end in \.safetensors or \.npz, got table"):
        tensors(data_config, "table.csv")
    small = DataConfig(root=data_config.root, resident_limit=0.0)
    with pytest.raises(DataError, match=r"data\.resident_limit=0"):
        TensorFile(path=f"{data_config.root}/tensors.npz")(small)


def test_names_of_classes_come_from_the_metadata_of_safetensors(data_config):
    held = {"inputs": torch.zeros(4, 2), "targets": torch.tensor([0, 1, 1, 0])}
    place = data_config.root / "named.safetensors"
    save_file(held, place, metadata={"class_names": json.dumps(["no", "yes", "maybe"])})
    assert tensors(data_config, "named.safetensors").class_names == ("no", "yes", "maybe")
    save_file(held, place)
    assert tensors(data_config, "named.safetensors").class_names == ("0", "1")


@pytest.mark.parametrize("method", ["scrub", "ssd"])
@pytest.mark.parametrize("option", ["tabular_csv", "tensor_file"])
def test_a_trial_runs_on_files_of_ones_own(compose_config, tmp_path, option, method):
    craft(tmp_path, option)
    chosen = [f"dataset={option}", *overrides(tmp_path, option)]
    run_trial(compose_config, tmp_path, method, *chosen)


def test_a_trial_on_a_file_that_is_not_there_says_which(compose_config, tmp_path):
    craft(tmp_path, "tabular_csv")
    with pytest.raises(ConfigError, match=r"dataset\.path must be an existing file"):
        run_trial(
            compose_config, tmp_path, "ssd", "dataset=tabular_csv", "dataset.target=label",
            f"dataset.path={tmp_path}/tabel.csv",
        )  # fmt: skip


def test_a_trial_on_a_file_is_another_one_when_the_file_has_changed(compose_config, tmp_path):
    craft(tmp_path, "tabular_csv")
    chosen = ["dataset=tabular_csv", *overrides(tmp_path, "tabular_csv")]
    plain = plain_config(compose_config(*chosen))
    before = trial_fingerprint(plain)
    assert trial_fingerprint(plain) == before
    with (tmp_path / "table.csv").open("a") as file:
        file.write("30,1.7,Bari,True,101,train,old\n")
    assert trial_fingerprint(plain) != before


def test_a_root_of_data_that_cannot_be_made_is_one_message(compose_config, tmp_path):
    craft(tmp_path, "tabular_csv")
    (tmp_path / "file").touch()
    chosen = ["dataset=tabular_csv", *overrides(tmp_path, "tabular_csv")]
    with pytest.raises(DataError, match=r"below data\.root=.*file/inner: .*Not a directory"):
        assemble(compose_config(*chosen, f"data.root={tmp_path}/file/inner"))


TENSORS = {"inputs": np.zeros((4, 2)), "targets": np.array([0, 1, 0, 1])}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"inputs": np.array(["a"] * 4)}, "inputs must hold numbers, got <U1"),
        ({"inputs": np.ones((4, 2)) * 1j}, "inputs must hold real numbers, got torch.complex128"),
        ({"targets": np.array(["a"] * 4)}, "targets must hold numbers, got <U1"),
        ({"targets": np.array(1)}, r"targets must be \(N,\) or \(N, C\), got \(\)"),
        ({"targets": np.zeros((4, 2, 2))}, r"targets must be .* got \(4, 2, 2\)"),
        ({"official": np.array(["train"] * 4)}, "official must hold numbers, got <U5"),
        ({"day": np.array(["2020-01-01"] * 4, "datetime64[D]")}, "day must hold numbers"),
        ({"people": np.array([["Ann", "Bob"]] * 4)}, "people must hold numbers"),
        ({"phase": np.ones(4) * 1j}, "phase must hold real numbers"),
    ],
)
def test_arrays_of_the_wrong_kind_are_refused_by_name(tmp_path, changed, message):
    np.savez(tmp_path / "tensors.npz", **{**TENSORS, **changed})
    with pytest.raises(DataError, match=message):
        TensorFile(path=str(tmp_path / "tensors.npz"))(DataConfig(root=tmp_path))
