"""The base split: official parts are kept, whole groups stay together, shares are reached."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from erasure.core.columns import Column
from erasure.core.errors import ConfigError
from erasure.core.seeding import stream
from erasure.data.splits.drawn import ClassForget, RandomForget
from erasure.data.splits.holdout import Holdout

ALL = range(100)


def parts_of(pool, seed=0, **settings):
    return [ids.tolist() for ids in Holdout(**settings)(pool, stream(seed, "split"))]


@pytest.fixture
def official(make_pool):
    """Build 100 samples of which the authors have fixed the given parts, by ranges of ids."""

    def make(**ranges):
        codes = torch.full((100,), -1, dtype=torch.int8)
        for code, name in enumerate(("train", "val", "test")):
            for start, stop in [ranges[name]] if name in ranges else []:
                codes[start:stop] = code
        return make_pool(torch.arange(100) % 4, official=codes)

    return make


def test_all_official_parts_are_kept_whatever_the_seed(official):
    pool = official(train=(0, 60), val=(60, 75), test=(75, 100))
    for seed in (0, 1):
        actual = parts_of(pool, seed, test=0.5, val=0.5)
        assert actual == [list(range(60)), list(range(60, 75)), list(range(75, 100))]


def test_without_an_official_val_part_it_is_drawn_from_the_official_train_part(official):
    pool = official(train=(0, 80), test=(80, 100))
    train, val, test = parts_of(pool, val=0.25)
    assert test == list(range(80, 100))
    assert len(val) == 20
    assert sorted(train + val) == list(range(80))
    assert parts_of(pool, seed=1, val=0.25)[1] != val
    assert torch.bincount(pool.targets[val]).tolist() == [5, 5, 5, 5]


def test_without_an_official_test_part_it_is_drawn_and_val_is_kept(official):
    pool = official(train=(0, 80), val=(80, 100))
    train, val, test = parts_of(pool, test=0.25)
    assert val == list(range(80, 100))
    assert len(test) == 20
    assert sorted(train + test) == list(range(80))


def test_samples_in_no_official_part_are_left_out(official):
    pool = official(train=(0, 30), val=(30, 40), test=(90, 100))
    assert sorted(i for ids in parts_of(pool) for i in ids) == [*range(40), *range(90, 100)]


def test_official_parts_can_be_drawn_anew(official, make_pool):
    pool = official(train=(0, 60), val=(60, 75), test=(75, 100))
    plain = make_pool(torch.arange(100) % 4)
    assert parts_of(pool, official=False) == parts_of(plain)


def test_official_parts_that_leave_nothing_to_train_on_are_refused(official):
    with pytest.raises(ConfigError, match="the train set of this split is empty"):
        parts_of(official(test=(0, 100)))


@given(
    people=st.lists(st.integers(-1, 9), min_size=30, max_size=60).map(lambda p: [*p, *range(10)]),
    test=st.floats(0.1, 0.4),
    seed=st.integers(0, 9),
)
def test_no_group_is_in_two_parts_and_the_share_is_the_next_whole_group(
    make_pool, people, test, seed
):
    column = Column(torch.tensor(people), tuple(f"p{i}" for i in range(10)))
    pool = make_pool([0] * len(people), attributes={"person": column})
    try:
        train, val, held = parts_of(pool, seed, group="person", test=test, val=0.3)
    except ConfigError as error:  # one person with most of the samples
        assume("set of this split is empty" not in str(error))
        raise
    assert sorted(train + val + held) == list(range(len(people)))
    owners = [{people[i] for i in ids} - {-1} for ids in (train, val, held)]
    assert not owners[0] & owners[1]
    assert not owners[0] & owners[2]
    assert not owners[1] & owners[2]
    largest = max(people.count(person) for person in set(people))
    assert round(test * len(people)) <= len(held) < round(test * len(people)) + largest


def test_groups_may_be_numbers_and_samples_without_one_stand_alone(make_pool):
    numbers = torch.tensor([1.5] * 30 + [2.5] * 30 + [torch.nan] * 40)
    pool = make_pool([0] * 100, attributes={"year": Column(numbers)})
    for seed in range(5):
        for ids in parts_of(pool, seed, group="year", test=0.3, val=0.3):
            for start, stop in ((0, 30), (30, 60)):
                assert len({start <= i < stop for i in ids} & {True}) <= 1
                assert sum(start <= i < stop for i in ids) in (0, 30)


def test_a_sample_without_a_group_follows_nobody(make_pool):
    codes = torch.tensor([-1] + [0] * 49 + [-1] * 50)
    pool = make_pool([0] * 100, attributes={"person": Column(codes, ("Ann",))})
    together = [
        any({0, 1} <= set(ids) for ids in parts_of(pool, seed, group="person", test=0.3))
        for seed in range(10)
    ]
    assert not all(together)


def test_a_group_in_two_official_parts_is_refused(make_pool):
    people = Column(torch.arange(100) % 7, tuple("abcdefg"))
    codes = torch.tensor([0] * 60 + [1] * 20 + [2] * 20)
    pool = make_pool([0] * 100, official=codes, attributes={"person": people})
    with pytest.raises(ConfigError, match="group=person has values in both the official train"):
        parts_of(pool, group="person")
    assert len(parts_of(pool, group="person", official=False)) == 3


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("persom", "group must be an attribute of the data set, which has friends, person, got "),
        ("friends", "group must be an attribute with one value per sample, got one of sets"),
    ],
)
def test_a_group_that_does_not_work_is_refused(make_pool, attribute, message):
    friends = Column(torch.zeros(100, 2, dtype=torch.bool), ("a", "b"))
    person = Column(torch.zeros(100, dtype=torch.int64), ("a",))
    pool = make_pool([0] * 100, attributes={"person": person, "friends": friends})
    with pytest.raises(ConfigError, match=message):
        parts_of(pool, group=attribute)


def test_one_group_for_everybody_leaves_nothing_to_train_on(make_pool):
    person = Column(torch.zeros(100, dtype=torch.int64), ("a",))
    pool = make_pool([0] * 100, attributes={"person": person})
    with pytest.raises(ConfigError, match="the train set of this split is empty"):
        parts_of(pool, group="person")


def test_a_share_of_the_training_set_moves_no_held_out_sample(make_pool):
    pool = make_pool(torch.arange(100) % 4)
    train, val, test = parts_of(pool)
    part, *held = parts_of(pool, train=0.5)
    assert held == [val, test]
    assert set(part) < set(train)
    assert len(part) == round(0.5 * len(train))
    assert torch.bincount(pool.targets[part]).tolist() == [9, 9, 9, 9]


def test_training_on_less_forgets_within_it(make_pool):
    pool = make_pool(torch.arange(100) % 4)
    base = Holdout(train=0.5)
    small = RandomForget(base=base)(pool, stream(0, "split"))
    assert small.train.tolist() == parts_of(pool, train=0.5)[0]
    whole = ClassForget(base=base, classes=[2])(pool, stream(0, "split"))
    assert whole.train.tolist() == small.train.tolist()


def test_a_training_share_out_of_range_is_refused():
    for share in (0.0, 1.5):
        with pytest.raises(ConfigError, match=rf"train must be in \(0, 1\], got {share}"):
            Holdout(train=share)
