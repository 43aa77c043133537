"""What an epoch visits; the pool's inputs are its sample ids."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from erasure.core.seeding import stream
from erasure.core.splits import View
from erasure.data.pools.augment import CropFlip
from erasure.data.pools.tensor import TensorPool
from erasure.training.passes import paired, shuffled


def view(start, stop):
    pool = TensorPool(
        inputs=torch.arange(stop).float().unsqueeze(-1),
        targets=torch.arange(stop) % 2,
        class_names=("even", "odd"),
    )
    return View(pool, torch.arange(start, stop))


def ids(batches):
    return [batch.ids.tolist() for batch in batches]


def flat(groups):
    return [number for group in groups for number in group]


@given(length=st.integers(1, 40), size=st.integers(1, 12), seed=st.integers(0, 5))
def test_every_sample_is_visited_once_per_epoch(length, size, seed):
    batches = shuffled(view(0, length), size, stream(seed, "x"), augment=False)
    for _ in range(2):
        groups = ids(batches.start())
        assert sorted(flat(groups)) == list(range(length))
        assert len(groups) == batches.steps
        assert all(len(group) > 1 for group in groups) or min(length, size) == 1


@pytest.mark.parametrize(
    ("length", "size", "sizes"),
    [(9, 4, [4, 5]), (8, 4, [4, 4]), (10, 4, [4, 4, 2]), (1, 4, [1]), (3, 1, [1, 1, 1])],
)
def test_a_tail_of_one_sample_joins_the_batch_before_it(length, size, sizes):
    batches = shuffled(view(0, length), size, stream(0, "x"), augment=False)
    assert [len(group) for group in ids(batches.start())] == sizes
    assert batches.steps == len(sizes)


def test_every_epoch_has_a_new_order_that_is_a_function_of_the_seed():
    first, again = (shuffled(view(0, 20), 5, stream(3, "x"), augment=False) for _ in range(2))
    epochs = [ids(first.start()) for _ in range(3)]
    assert epochs == [ids(again.start()) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]


def test_inputs_and_labels_belong_to_the_ids():
    whole = view(0, 20)
    for batch in shuffled(whole, 6, stream(0, "x"), augment=False).start():
        assert batch.inputs.squeeze(-1).long().equal(batch.ids)
        assert batch.targets.equal(batch.ids % 2)


def test_augmentation_is_applied_only_when_it_is_asked_for():
    pool = TensorPool(
        inputs=torch.arange(64.0).reshape(4, 1, 4, 4),
        targets=torch.zeros(4, dtype=torch.int64),
        class_names=("one",),
        augmentation=CropFlip(padding=1, flip=True),
    )
    everything = View(pool, torch.arange(4))
    collected = {
        augment: next(shuffled(everything, 4, stream(1, "x"), augment=augment).start())
        for augment in (False, True)
    }
    assert collected[False].inputs.equal(pool.inputs[collected[False].ids])
    assert not collected[True].inputs.equal(pool.inputs[collected[True].ids])
    assert collected[True].ids.equal(collected[False].ids)


def test_pairing_visits_the_main_view_in_the_order_of_a_plain_pass():
    main, other = view(0, 30), view(30, 37)
    alone = shuffled(main, 4, stream(0, "x"), augment=False)
    pairs = paired(main, other, 4, stream(0, "x"), augment=False, other_size=3)
    assert pairs.steps == alone.steps == 8
    for _ in range(3):
        assert ids(keep for keep, _ in pairs.start()) == ids(alone.start())


def test_pairing_repeats_the_other_view_in_a_new_order():
    pairs = paired(view(0, 40), view(40, 46), 4, stream(0, "x"), augment=False, other_size=2)
    drops = ids(drop for _, drop in pairs.start())
    rounds = [flat(drops[i : i + 3]) for i in (0, 3, 6)]
    assert all(sorted(actual) == list(range(40, 46)) for actual in rounds)
    assert rounds[0] != rounds[1] != rounds[2]
    assert len(drops) == 10


def test_pairing_starts_the_other_view_anew_at_every_epoch():
    pairs = paired(view(0, 8), view(8, 20), 4, stream(0, "x"), augment=False, other_size=4)
    epochs = [ids(drop for _, drop in pairs.start()) for _ in range(6)]
    assert all(len(epoch) == 2 for epoch in epochs)
    assert all(len(set(flat(epoch))) == 8 for epoch in epochs)
    assert set(flat(flat(epochs))) == set(range(8, 20))


@pytest.mark.parametrize(("num_other", "sizes"), [(3, [3, 3]), (9, [4, 5]), (1, [1, 1])])
def test_pairs_of_unequal_size_are_not_skipped(num_other, sizes):
    pairs = paired(view(0, 8), view(8, 8 + num_other), 4, stream(0, "x"), augment=False)
    actual = list(pairs.start())
    assert [len(keep.ids) for keep, _ in actual] == [4, 4]
    assert [len(drop.ids) for _, drop in actual] == sizes


def test_nothing_cannot_be_repeated():
    with pytest.raises(ValueError, match="other must hold at least one sample"):
        paired(view(0, 8), view(8, 8), 4, stream(0, "x"), augment=False)
