"""What holds of every way to choose what to forget."""

import pytest
import torch
from crafted_splits import people_pool

from erasure.core.fingerprint import ids_fingerprint
from erasure.core.seeding import stream
from erasure.data.splits.attribute import AttributeForget
from erasure.data.splits.confusion import ConfusionForget
from erasure.data.splits.difficulty import DifficultyForget
from erasure.data.splits.drawn import ClassForget, RandomForget, StratifiedForget
from erasure.data.splits.holdout import Holdout
from erasure.data.splits.ids import IdsForget
from erasure.data.splits.poison import PoisonForget
from erasure.data.splits.query import QueryForget
from erasure.data.splits.sequential import Sequential

PARTS = ("forget", "retain", "val", "test")

WAYS = {
    "random": RandomForget,
    "stratified": StratifiedForget,
    "class": lambda **base: ClassForget(classes=[1], **base),
    "share": lambda **base: ClassForget(classes=[1, 2], share=0.3, **base),
    "subclass": lambda **base: AttributeForget(
        attribute="fine", values=["1a"], nested=True, **base
    ),
    "range": lambda **base: AttributeForget(attribute="age", value_range=[50, 60], **base),
    "top": lambda **base: AttributeForget(attribute="friends", top_k=1, **base),
    "people": lambda **base: AttributeForget(attribute="identity", n_values=4, **base),
    "five percent": lambda **base: AttributeForget(
        attribute="identity", target_share=0.05, **base
    ),
    "query": lambda **base: QueryForget(where="age > 50", **base),
    "difficulty": lambda **base: DifficultyForget(references=100, **base),
    "confusion": lambda **base: ConfusionForget(classes=[1, 2], **base),
    "poison": PoisonForget,
    "sequential": lambda **base: Sequential(inner=ClassForget(classes=[1], **base)),
}
DRAWN = sorted(WAYS.keys() - {"class", "subclass", "range", "top", "query"})
"""Those that draw, whichever samples are held out."""


@pytest.fixture(scope="module")
def pool():
    return people_pool()


def split(pool, way, seed=0, **base):
    return WAYS[way](**base)(pool, stream(seed, "split"))


def base_of(indices):
    return [ids_fingerprint(ids) for ids in (indices.train, indices.val, indices.test)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", [0, 3])
def test_parts_are_a_partition_and_nothing_is_empty(pool, way, seed):
    indices = split(pool, way, seed)
    every = torch.cat([getattr(indices, part) for part in PARTS])
    assert sorted(every.tolist()) == list(range(400))
    counts = sum(pool.targets[getattr(indices, part)].bincount(minlength=4) for part in PARTS)
    assert torch.equal(counts, pool.targets.bincount(minlength=4))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "base", [{}, {"val": 0.3}, {"group": "identity"}, {"train": 0.5}], ids=str
)
def test_the_base_split_does_not_depend_on_what_is_forgotten(pool, way, base):
    chosen = {"base": Holdout(**base)}
    for seed in (0, 1):
        plain = split(pool, "random", seed, **chosen)
        assert base_of(split(pool, way, seed, **chosen)) == base_of(plain)


@pytest.mark.parametrize("way", WAYS)
def test_official_parts_are_respected(way):
    official = torch.tensor([0] * 250 + [1] * 50 + [2] * 100, dtype=torch.int8)
    indices = split(people_pool(official=official), way)
    assert indices.train.tolist() == list(range(250))
    assert indices.val.tolist() == list(range(250, 300))
    assert indices.test.tolist() == list(range(300, 400))


@pytest.mark.parametrize("way", WAYS)
def test_the_same_seed_is_the_same_split_and_another_another(pool, way):
    first, again, other = (split(pool, way, seed) for seed in (0, 0, 1))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    for part in PARTS:
        assert getattr(first, part).tolist() != getattr(other, part).tolist()


@pytest.mark.parametrize("way", DRAWN)
def test_what_is_drawn_depends_on_the_seed_even_where_all_parts_are_fixed(way):
    official = torch.tensor([0] * 250 + [1] * 50 + [2] * 100, dtype=torch.int8)
    pool = people_pool(official=official)
    collected = {split(pool, way, seed).fingerprint for seed in range(4)}
    assert len(collected) > 1


@pytest.mark.parametrize("way", WAYS)
def test_the_population_is_held_out_samples(pool, way):
    indices = split(pool, way)
    if indices.same_population is not None:
        heldout = torch.cat([indices.val, indices.test])
        assert torch.isin(indices.same_population, heldout).all()
        assert 0 < len(indices.same_population) < len(heldout)


@pytest.mark.parametrize("way", WAYS)
def test_the_order_of_ids_does_not_change_the_fingerprint(pool, way):
    """Parts are sets; only requests have an order."""
    indices = split(pool, way)
    shuffled = {
        part: getattr(indices, part)[
            torch.randperm(len(getattr(indices, part)), generator=stream(0, part))
        ]
        for part in PARTS
    }
    other = type(indices)(**shuffled, requests=indices.requests)
    assert other.fingerprint == indices.fingerprint


def test_the_scenario_is_plain_data(pool):
    import json

    for way in WAYS:
        scenario = dict(split(pool, way).scenario)
        assert json.loads(json.dumps(scenario)) == scenario


def test_given_ids_do_not_move_the_base_split_either(pool):
    plain = split(pool, "random")
    given = IdsForget(ids=plain.train[5:9].tolist())(pool, stream(0, "split"))
    assert base_of(given) == base_of(plain)


@pytest.mark.slow
def test_splits_are_the_same_in_other_processes(pool, python):
    code = """
import sys
sys.path[:0] = ["tests/helpers", "tests/data/splits"]
from crafted_splits import people_pool
from test_forget_every_way import WAYS, split
for way in WAYS:
    print(split(people_pool(), way, 3).fingerprint)
"""
    here = [split(pool, way, 3).fingerprint for way in WAYS]
    finished = python("-c", code, PYTHONHASHSEED="123")
    assert finished.stdout.split() == here, finished.stderr
