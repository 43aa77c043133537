"""Forgetting given ids: from the configuration or a file, and refused where they do not fit."""

import numpy as np
import pytest
import torch
from crafted_splits import people_pool
from safetensors.torch import save_file

from erasure.core.errors import ConfigError, DataError
from erasure.core.seeding import stream
from erasure.data.splits.drawn import RandomForget
from erasure.data.splits.ids import IdsForget, read_ids


@pytest.fixture(scope="module")
def pool():
    return people_pool()


@pytest.fixture(scope="module")
def train(pool):
    return split(pool, RandomForget()).train.tolist()


def split(pool, strategy):
    return strategy(pool, stream(0, "split"))


def write(path, ids):
    if path.suffix == ".txt":
        path.write_text("\n".join(map(str, ids)) + "\n")
    elif path.suffix == ".csv":
        path.write_text("name,id\n" + "".join(f"n{i},{i}\n" for i in ids))
    elif path.suffix == ".npy":
        np.save(path, np.array(ids, dtype=np.int32))
    else:
        save_file({"ids": torch.tensor(ids)}, path)
    return str(path)


def test_exactly_these_are_forgotten(pool, train):
    wanted = [train[9], train[2], train[40]]
    indices = split(pool, IdsForget(ids=wanted))
    assert indices.forget.tolist() == sorted(wanted)
    assert indices.train.tolist() == train
    assert indices.requests == ()
    assert indices.same_population is None


@pytest.mark.parametrize("ending", [".txt", ".csv", ".npy", ".safetensors"])
def test_files_of_every_kind_say_the_same(pool, train, tmp_path, ending):
    path = write(tmp_path / f"wanted{ending}", train[5:9])
    indices = split(pool, IdsForget(path=path))
    assert indices.forget.tolist() == sorted(train[5:9])


def test_a_table_may_have_a_single_column_of_any_name(tmp_path):
    (tmp_path / "a.csv").write_text("sample\n4\n7\n")
    assert read_ids(tmp_path / "a.csv").tolist() == [4, 7]


def test_the_forget_set_of_an_earlier_split_can_be_read(tmp_path):
    ids = {"forget": torch.tensor([4, 7]), "retain": torch.tensor([1])}
    save_file(ids, tmp_path / "split.safetensors")
    assert read_ids(tmp_path / "split.safetensors").tolist() == [4, 7]


def test_several_files_are_several_requests_in_their_order(pool, train, tmp_path):
    paths = [write(tmp_path / f"{n}.txt", train[n : n + 2]) for n in (6, 2, 4)]
    indices = split(pool, IdsForget(path=paths))
    assert [ids.tolist() for ids in indices.requests] == [train[n : n + 2] for n in (6, 2, 4)]
    assert indices.forget.tolist() == sorted(train[2:8])


def test_copies_join_the_last_request(train, tmp_path):
    pool = people_pool()
    pool.inputs[train[30]] = pool.inputs[train[6]]
    paths = [write(tmp_path / f"{n}.txt", train[n : n + 2]) for n in (6, 2)]
    indices = split(pool, IdsForget(path=paths, duplicates="move"))
    assert indices.requests[0].tolist() == train[6:8]
    assert indices.requests[1].tolist() == [*train[2:4], train[30]]


@pytest.mark.parametrize("settings", [{}, {"ids": [1], "path": "a.txt"}, {"ids": []}])
def test_both_or_neither_are_refused(settings):
    with pytest.raises(ConfigError, match="ids and path exclude each other"):
        IdsForget(**settings)


def test_ids_named_twice_out_of_range_or_held_out_are_refused_with_examples(pool, train):
    heldout = sorted(set(range(400)) - set(train))
    cases = [
        ([train[0], train[1], train[0]], f"1 of 3 are twice or more, for example [{train[0]}]"),
        ([train[0], 400, -1], "2 of 3 are not in [0, 400), for example [400, -1]"),
        (
            heldout,
            f"112 of 112 are not in the training set, which is all that was learned, for "
            f"example {heldout[:6]}"[:-1]
            + ", ...]",
        ),
    ]
    for ids, message in cases:
        with pytest.raises(ConfigError) as error:
            split(pool, IdsForget(ids=ids))
        assert str(error.value).startswith("ids must be training samples, each named once; ")
        assert str(error.value).endswith(message)


def test_an_id_in_two_requests_is_refused(pool, train, tmp_path):
    paths = [write(tmp_path / f"{n}.txt", train[n : n + 2]) for n in (6, 7)]
    with pytest.raises(ConfigError, match=r"path must be .* 1 of 4 are twice or more"):
        split(pool, IdsForget(path=paths))


def test_all_training_samples_are_too_many(pool, train):
    with pytest.raises(ConfigError, match="selects all 288 training samples"):
        split(pool, IdsForget(ids=train))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("words.txt", "1\ntwo\n"),
        ("halves.txt", "1\n2.5\n"),
        ("halves.csv", "id\n1\n2.5\n"),
        ("holes.csv", "id,x\n1,1\n,2\n"),
        ("nameless.csv", "1\n2\n"),
        ("two.csv", "a,b\n1,2\n"),
        ("torn.npy", "x"),
        ("torn.safetensors", "x"),
    ],
)
def test_files_without_whole_numbers_are_refused(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=name):
        read_ids(tmp_path / name)


def test_pickled_arrays_are_not_loaded(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"objects\.npy cannot be read as a list of ids"):
        read_ids(tmp_path / "objects.npy")


def test_other_tensors_are_named(tmp_path):
    save_file({"weights": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(DataError, match="no tensor ids or forget among weights"):
        read_ids(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("name", "message"),
    [("gone.txt", "path must be a file of ids, there is none at"), ("a.pkl", "path must end in")],
)
def test_what_is_not_there_or_not_known_is_refused(tmp_path, name, message):
    with pytest.raises(ConfigError, match=message):
        read_ids(tmp_path / name)
