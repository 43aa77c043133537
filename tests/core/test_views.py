"""Views: what a batch holds, in which order, and what is never lost."""

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.splits import DataSplits, SplitIndices, View
from erasure.data.pools.augment import CropFlip


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def view(make_pool):
    """Seven samples of a pool of twenty, in no particular order; label = id mod 4."""
    pool = make_pool(torch.arange(20) % 4)
    return View(pool, torch.tensor([3, 17, 5, 8, 0, 19, 11]))


def visited(batches):
    return torch.cat([batch.ids for batch in batches]).tolist()


@given(n=st.integers(1, 40), size=st.integers(1, 45), seed=st.none() | st.integers(0, 9))
@example(n=2, size=1, seed=0)
@example(n=9, size=4, seed=0)
def test_every_id_is_visited_once(make_pool, n, size, seed):
    pool = make_pool(torch.zeros(50, dtype=torch.int64))
    ids = torch.randperm(50, generator=generator(1))[:n]
    batches = list(
        View(pool, ids).batches(size, generator=None if seed is None else generator(seed))
    )
    assert sorted(visited(batches)) == sorted(ids.tolist())
    lengths = [len(batch.ids) for batch in batches]
    whole, tail = divmod(n, size)
    expected = [size] * whole + [tail] * (tail > 0)
    if seed is not None and size > 1 and expected[-1] == 1 and len(expected) > 1:
        expected = [*expected[:-2], expected[-2] + 1]
    assert lengths == expected


@given(n=st.integers(0, 40), size=st.integers(1, 45), seed=st.none() | st.integers(0, 9))
@example(n=129, size=128, seed=None)
def test_equal_batches_are_as_many_and_differ_by_at_most_one(make_pool, n, size, seed):
    view = View(make_pool(torch.zeros(129, dtype=torch.int64)), torch.arange(n))
    drawn = None if seed is None else generator(seed)
    batches = list(view.batches(size, generator=drawn, equal=True))
    lengths = [len(batch.ids) for batch in batches]
    assert len(lengths) == -(-n // size)
    if n:
        assert sorted(visited(batches)) == list(range(n))
        assert max(lengths) <= size
        assert max(lengths) - min(lengths) <= 1


@given(n=st.integers(1, 40), size=st.integers(1, 45))
def test_num_batches_counts_a_shuffled_pass(make_pool, n, size):
    view = View(make_pool(torch.zeros(40, dtype=torch.int64)), torch.arange(n))
    assert view.num_batches(size) == len(list(view.batches(size, generator=generator())))


def test_a_tail_of_one_is_kept_apart_without_shuffling(view):
    assert [len(b.ids) for b in view.batches(3)] == [3, 3, 1]
    assert [len(b.ids) for b in view.batches(3, generator=generator())] == [3, 4]


def test_a_single_sample_is_a_batch_even_when_shuffled(view):
    assert [
        len(b.ids) for b in view.take(torch.tensor([2])).batches(3, generator=generator())
    ] == [1]


def test_without_a_generator_the_order_is_that_of_the_view(view):
    assert visited(view.batches(3)) == [3, 17, 5, 8, 0, 19, 11]


def test_the_order_follows_the_generator(view):
    first = visited(view.batches(2, generator=generator(4)))
    assert visited(view.batches(2, generator=generator(4))) == first
    assert visited(view.batches(2, generator=generator(5))) != first


def test_one_generator_gives_every_epoch_another_order(view):
    one = generator(4)
    assert visited(view.batches(2, generator=one)) != visited(view.batches(2, generator=one))


def test_the_batch_size_does_not_change_the_order(view):
    small, large = (visited(view.batches(n, generator=generator(4))) for n in (2, 5))
    assert small == large


@pytest.mark.parametrize("shuffle", [None, 3])
def test_inputs_and_targets_belong_to_the_ids(view, shuffle):
    for batch in view.batches(3, generator=None if shuffle is None else generator(shuffle)):
        assert torch.equal(batch.inputs[:, 0], batch.ids.float())
        assert torch.equal(batch.targets, batch.ids % 4)


@pytest.mark.parametrize("shuffle", [None, 3])
def test_new_labels_follow_their_samples(view, shuffle):
    relabeled = view.relabel(view.index + 100)
    for batch in relabeled.batches(3, generator=None if shuffle is None else generator(shuffle)):
        assert torch.equal(batch.targets, batch.ids + 100)
    assert torch.equal(view.targets, view.index % 4)


def test_take_accepts_masks_and_positions_and_keeps_labels(view):
    relabeled = view.relabel(torch.arange(7))
    mask = relabeled.take(torch.tensor([True, False, False, True, False, False, True]))
    assert (mask.index.tolist(), mask.targets.tolist()) == ([3, 8, 11], [0, 3, 6])
    positions = relabeled.take(torch.tensor([6, 0]))
    assert (positions.index.tolist(), positions.targets.tolist()) == ([11, 3], [6, 0])


def test_addition_keeps_the_labels_of_both(view):
    plain = view.take(torch.tensor([0, 1]))
    both = plain + view.take(torch.tensor([2])).relabel(torch.tensor([9]))
    assert (both.index.tolist(), both.targets.tolist()) == ([3, 17, 5], [3, 1, 9])
    assert (plain + plain).labels is None
    assert len(plain + plain) == 4


def test_views_of_different_pools_do_not_add_up(view, make_pool):
    with pytest.raises(UnsupportedError, match="cannot share a batch"):
        view + View(make_pool([0, 1]), torch.tensor([0]))


def test_labels_must_match_in_number(view):
    with pytest.raises(ValueError, match="2 labels for 7 samples"):
        view.relabel(torch.tensor([0, 1]))


def test_augmentation_without_a_generator_is_refused(view):
    with pytest.raises(ValueError, match="needs a generator"):
        next(view.batches(2, augment=True))


def test_augmentation_is_asked_for_and_reproducible(make_pool):
    images = torch.arange(1, 6 * 16 + 1).float().reshape(6, 1, 4, 4)
    pool = make_pool([0] * 6, inputs=images, augmentation=CropFlip(padding=1, flip=True))
    view = View(pool, torch.arange(6))

    def epoch(augment):
        batches = view.batches(4, generator=generator(2), augment=augment)
        return torch.cat([batch.inputs for batch in batches])

    order = visited(view.batches(4, generator=generator(2)))
    assert torch.equal(epoch(augment=False), images[order])
    assert torch.equal(epoch(augment=True), epoch(augment=True))
    assert not torch.equal(epoch(augment=True), epoch(augment=False))


def split(forget, retain, val=(8,), test=(9,)):
    parts = {"forget": forget, "retain": retain, "val": val, "test": test}
    return SplitIndices(**{name: torch.tensor(ids) for name, ids in parts.items()})


def test_split_indices_are_sorted_and_training_is_both_parts():
    indices = split([5, 1], [4, 2, 3])
    assert indices.forget.tolist() == [1, 5]
    assert indices.train.tolist() == [1, 2, 3, 4, 5]


def test_the_order_of_ids_does_not_change_the_fingerprint_of_a_split():
    assert split([5, 1], [4, 2, 3]).fingerprint == split([1, 5], [2, 3, 4]).fingerprint


def test_the_fingerprint_of_a_split_knows_which_part_an_id_is_in():
    prints = {
        split([1], [2, 3]).fingerprint,
        split([1, 2], [3]).fingerprint,
        split([2, 3], [1]).fingerprint,
        split([1], [2, 3], val=(9,), test=(8,)).fingerprint,
    }
    assert len(prints) == 4


@pytest.mark.parametrize("empty", ["forget", "retain", "val", "test"])
def test_an_empty_part_is_refused_by_name(empty):
    parts = {"forget": [0], "retain": [1], "val": [2], "test": [3], empty: []}
    with pytest.raises(ConfigError, match=f"the {empty} set of this split is empty"):
        split(**parts)


@pytest.mark.parametrize(
    "parts",
    [
        {"forget": [7], "retain": [7, 1]},
        {"forget": [0], "retain": [1], "val": [7], "test": [7]},
        {"forget": [7, 7], "retain": [1]},
    ],
)
def test_overlap_is_refused_with_an_example(parts):
    with pytest.raises(ConfigError, match=r"overlap, for example in ids \[7\]"):
        split(**parts)


def test_the_training_view_is_the_same_whatever_is_forgotten(make_pool):
    pool = make_pool(torch.arange(10))
    trains = [
        DataSplits.of(pool, split(forget, retain)).train
        for forget, retain in (([5, 1], [4, 2, 3]), ([2], [1, 3, 5, 4]), ([4, 3], [5, 2, 1]))
    ]
    for train in trains:
        assert train.index.tolist() == [1, 2, 3, 4, 5]
        order = visited(train.batches(2, generator=generator(1)))
        assert order == visited(trains[0].batches(2, generator=generator(1)))


def test_parts_are_views_by_name(make_pool):
    splits = DataSplits.of(make_pool(torch.arange(10)), split([5, 1], [4, 2, 3]))
    targets = {name: splits.part(name).targets.tolist() for name in ("forget", "retain", "val")}
    assert targets == {"forget": [1, 5], "retain": [2, 3, 4], "val": [8]}
