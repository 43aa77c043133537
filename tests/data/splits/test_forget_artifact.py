"""A split on disk: read back to the last id, or refused."""

import json
from dataclasses import replace

import pytest
import torch
from crafted_splits import people_pool
from safetensors.torch import load_file, save_file

from erasure.core.errors import ConfigError, DataError, UnsupportedError
from erasure.core.seeding import stream
from erasure.core.splits import SplitIndices
from erasure.data.splits.artifact import ArtifactSplit, read_split, save_split
from erasure.data.splits.attribute import AttributeForget
from erasure.data.splits.canary import CanaryForget
from erasure.data.splits.confusion import ConfusionForget
from erasure.data.splits.difficulty import DifficultyForget
from erasure.data.splits.drawn import ClassForget, RandomForget
from erasure.data.splits.poison import PoisonForget
from erasure.data.splits.prepared import prepare
from erasure.data.splits.query import QueryForget
from erasure.data.splits.sequential import Sequential

STRATEGIES = [
    RandomForget(),
    ClassForget(classes=[1], share=0.5),
    AttributeForget(attribute="identity", n_values=4),
    QueryForget(where="age > 50"),
    DifficultyForget(),
    ConfusionForget(classes=[1, 2]),
    PoisonForget(value=3.0),
    CanaryForget(),
    CanaryForget(kind="random"),
    Sequential(inner=ClassForget(classes=[1]), requests=3),
    Sequential(inner=PoisonForget(), requests=2),
]


@pytest.fixture(scope="module")
def pool():
    return people_pool()


@pytest.fixture
def written(pool, tmp_path):
    def write(strategy):
        indices = strategy(pool, stream(0, "split"))
        save_split(tmp_path, indices, pool.fingerprint)
        return indices

    return write


def again(pool, path, seed=5):
    return ArtifactSplit(path=str(path))(pool, stream(seed, "split"))


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: type(s).__name__)
def test_a_split_is_read_back_as_it_was(pool, written, tmp_path, strategy):
    indices = written(strategy)
    for path in (tmp_path, tmp_path / "split.safetensors"):
        actual = again(pool, path)
        assert actual.fingerprint == indices.fingerprint
        assert actual.scenario == indices.scenario
        assert [r.tolist() for r in actual.requests] == [r.tolist() for r in indices.requests]
        assert (actual.same_population is None) == (indices.same_population is None)
        assert actual.same_population is None or torch.equal(
            actual.same_population, indices.same_population
        )


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: type(s).__name__)
def test_data_are_altered_again(pool, written, tmp_path, strategy):
    written(strategy)
    once = prepare(strategy, pool, stream(0, "split"))
    again = prepare(ArtifactSplit(path=str(tmp_path)), pool, stream(1, "split"))
    assert again.pool.fingerprint == once.pool.fingerprint
    assert set(again.probes) == set(once.probes)
    for name, view in once.probes.items():
        assert torch.equal(again.probes[name].index, view.index)
        assert again.probes[name].pool.fingerprint == view.pool.fingerprint


def test_an_empty_population_is_not_none(pool, tmp_path):
    indices = RandomForget()(pool, stream(0, "split"))
    empty = replace(indices, same_population=torch.tensor([], dtype=torch.int64))
    save_split(tmp_path, empty, pool.fingerprint)
    assert again(pool, tmp_path).same_population.tolist() == []


def test_people_can_read_what_is_in_it(pool, written, tmp_path):
    indices = written(Sequential(inner=ClassForget(classes=[1]), requests=3))
    said = json.loads((tmp_path / "split.json").read_text())
    assert said["counts"] == {
        name: len(getattr(indices, name)) for name in ("forget", "retain", "val", "test")
    }
    assert said["scenario"] == {"kind": "class", "classes": [1], "share": 1.0}
    assert said["requests"] == [len(ids) for ids in indices.requests]
    assert said["same_population"] == len(indices.same_population)
    assert said["data"] == pool.fingerprint
    assert len(said["hash"]) == 32


def test_the_hash_is_one_of_contents(pool, written, tmp_path):
    def noted(strategy):
        written(strategy)
        return json.loads((tmp_path / "split.json").read_text())["hash"]

    first = noted(ClassForget(classes=[1]))
    assert noted(RandomForget()) != first
    assert noted(ClassForget(classes=[1])) == first


def test_another_id_is_damage(pool, written, tmp_path):
    from safetensors import safe_open

    indices = written(RandomForget())
    file = tmp_path / "split.safetensors"
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    tensors = load_file(file)
    tensors["forget"][0], tensors["retain"][0] = indices.retain[0], indices.forget[0]
    save_file(tensors, file, metadata=metadata)
    with pytest.raises(DataError, match="is damaged: its ids do not have the hash"):
        again(pool, tmp_path)


def test_a_cut_file_is_damage(pool, written, tmp_path):
    written(RandomForget())
    file = tmp_path / "split.safetensors"
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"split\.safetensors cannot be read as a split"):
        again(pool, tmp_path)


def test_tensors_of_somebody_else_are_no_split(pool, tmp_path):
    save_file({"forget": torch.arange(3)}, tmp_path / "split.safetensors")
    with pytest.raises(DataError, match="is not a split that a trial wrote: it notes no 'facts'"):
        again(pool, tmp_path)


def test_a_split_of_other_data_is_refused(pool, written, tmp_path):
    written(RandomForget())
    other = people_pool(targets=pool.targets.flip(0))
    with pytest.raises(ConfigError, match=f"path must be .* these data.* {other.fingerprint}; "):
        again(other, tmp_path)


def test_a_path_without_a_split_is_refused(pool, tmp_path):
    with pytest.raises(ConfigError, match="path must be the folder of artifacts of a trial or"):
        again(pool, tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="there is no such file"):
        again(pool, tmp_path)


def scenario(pool, facts):
    indices = RandomForget()(pool, stream(0, "split"))
    return SplitIndices(
        **{name: getattr(indices, name) for name in ("forget", "retain", "val", "test")},
        scenario=facts,
    )


@pytest.mark.parametrize(
    ("facts", "deleting", "said"),
    [({"kind": "mine"}, False, "mine"), ({}, True, "it deleted parts of a graph")],
)
def test_a_split_that_ids_do_not_tell_is_refused(pool, tmp_path, facts, deleting, said):
    save_split(tmp_path, scenario(pool, facts), pool.fingerprint, deleting=deleting)
    with pytest.raises(UnsupportedError, match=f"more than choose samples .{said}.; name the"):
        read_split(tmp_path, pool.fingerprint)
