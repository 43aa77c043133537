"""Swapped labels: in the forget set only, as many one way as the other."""

from collections import Counter

import pytest
import torch
from crafted_splits import people_pool

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.protocols import PreparingSplit
from erasure.core.seeding import stream
from erasure.core.splits import DataSplits
from erasure.core.task_types import Multilabel
from erasure.data.splits.confusion import ConfusionForget, swapped
from erasure.data.splits.drawn import RandomForget


@pytest.fixture(scope="module")
def pool():
    return people_pool()


def split(pool, seed=0, **settings):
    strategy = ConfusionForget(**{"classes": [1, 3]} | settings)
    return strategy, strategy(pool, stream(seed, "split"))


def test_half_of_each_class_is_forgotten(pool):
    strategy, indices = split(pool, count=20, fraction=None)
    assert Counter(pool.targets[indices.forget].tolist()) == {1: 10, 3: 10}
    assert isinstance(strategy, PreparingSplit)
    assert strategy.prepare(pool, stream(0, "split")).probes == {}
    assert indices.scenario == {"kind": "confusion", "classes": [1, 3]}


def test_a_fraction_is_one_of_the_smaller_class(pool):
    _, indices = split(pool, fraction=0.3)
    trained = Counter(pool.targets[indices.train].tolist())
    each = round(0.3 * min(trained[1], trained[3]))
    assert Counter(pool.targets[indices.forget].tolist()) == {1: each, 3: each}


def test_a_small_class_sets_the_number(make_pool):
    """Of 40 and 200 samples, 72 % are trained on: 29 and 144; half of 29 is 14."""
    pool = make_pool([0] * 40 + [1] * 200)
    _, indices = split(pool, classes=[0, 1])
    trained = Counter(pool.targets[indices.train].tolist())
    each = round(0.5 * trained[0])
    assert each < 20 < trained[1]
    assert Counter(pool.targets[indices.forget].tolist()) == {0: each, 1: each}


def test_labels_are_swapped_there_and_nowhere_else(pool):
    _strategy, indices = split(pool)
    altered = swapped(pool, indices)
    swap = torch.tensor([0, 3, 2, 1])
    assert torch.equal(altered.targets[indices.forget], swap[pool.targets[indices.forget]])
    stay = torch.ones(400, dtype=torch.bool)
    stay[indices.forget] = False
    assert torch.equal(altered.targets[stay], pool.targets[stay])
    assert torch.equal(altered.targets.bincount(), pool.targets.bincount())
    assert pool.targets is not altered.targets


def test_inputs_are_what_they_were_and_the_fingerprint_is_not(pool):
    _strategy, indices = split(pool)
    altered = swapped(pool, indices)
    every = torch.arange(400)
    assert torch.equal(altered.fetch(every), pool.fetch(every))
    assert altered.fingerprint == swapped(pool, indices).fingerprint != pool.fingerprint
    _, other = split(pool, seed=1)
    assert swapped(pool, other).fingerprint != altered.fingerprint


def test_a_trial_sees_the_swapped_labels(pool):
    _strategy, indices = split(pool, classes=["class 3", "class 1"])
    splits = DataSplits.of(swapped(pool, indices), indices)
    assert torch.equal(splits.test.targets, pool.targets[indices.test])
    assert (splits.forget.targets != pool.targets[indices.forget]).all()
    assert indices.scenario["classes"] == [3, 1]


def test_more_contains_less_and_the_base_split_is_that_of_others(pool):
    few, more = (set(split(pool, fraction=f)[1].forget.tolist()) for f in (0.2, 0.6))
    assert few < more
    base = RandomForget()(pool, stream(0, "split"))
    assert split(pool)[1].train.tolist() == base.train.tolist()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": [1]}, "classes must be two classes such as [3, 5], got [1]"),
        ({"classes": [1, 2, 3]}, "classes must be two classes such as [3, 5], got [1, 2, 3]"),
        ({"classes": [1, 1]}, "classes must be two classes such as [3, 5], got [1, 1]"),
        ({"classes": "13"}, "classes must be two classes such as [3, 5], got '13'"),
        ({"count": 7, "fraction": None}, "count must be even, half for each class, got 7"),
        ({"fraction": 1.0}, "fraction must be in (0, 1), got 1.0"),
    ],
)
def test_impossible_settings_are_refused_by_name(settings, message):
    with pytest.raises(ConfigError) as error:
        ConfusionForget(**{"classes": [1, 3]} | settings)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": [1, 9]}, "classes must be among the 4 classes class 0, class 1"),
        ({"classes": [1, "class 1"]}, "classes must be two different classes"),
        ({"count": 600, "fraction": None}, "count=600 swaps 300 training samples per class"),
        ({"fraction": 0.001}, "fraction=0.001 swaps 0 training samples per class"),
    ],
)
def test_requests_that_do_not_fit_the_data_are_refused(pool, settings, message):
    with pytest.raises(ConfigError, match=message):
        split(pool, **settings)


def test_several_labels_per_sample_cannot_be_swapped():
    labels = torch.ones(400, 4, dtype=torch.int64)
    with pytest.raises(UnsupportedError, match="every sample has one class"):
        split(people_pool(targets=labels, task_type=Multilabel()))
