"""Copies of forget samples elsewhere: found, and dealt with as asked."""

import logging

import pytest
import torch

from erasure.core.errors import ConfigError
from erasure.core.seeding import stream
from erasure.data.pools.tensor import TensorPool
from erasure.data.splits.drawn import ClassForget, RandomForget
from erasure.data.splits.duplicates import copies
from erasure.data.splits.ids import IdsForget

NAMES = ("a", "b")


def images(count=60, seed=0):
    return torch.rand((count, 3, 4, 4), generator=stream(seed, "images"))


def pool_of(inputs, **fields):
    return TensorPool(
        inputs=inputs, targets=torch.arange(len(inputs)) % 2, class_names=NAMES, **fields
    )


def train_and_test(pool):
    indices = RandomForget()(pool, stream(0, "split"))
    return indices.train.tolist(), indices.test.tolist()


@pytest.fixture
def doubled():
    """Return a pool, the id of a training sample, a training copy of it, and a test copy."""
    inputs = images()
    train, test = train_and_test(pool_of(inputs))
    inputs[train[1]] = inputs[train[0]]
    inputs[test[0]] = inputs[train[0]]
    return pool_of(inputs), train[0], train[1], test[0]


def forget(pool, sample, **settings):
    return IdsForget(ids=[sample], **settings)(pool, stream(0, "split"))


def test_copies_are_found_and_nothing_else(doubled):
    pool, sample, *others = doubled
    every = torch.arange(60)
    duplicates = copies(pool, torch.tensor([sample]), every[every != sample], None)
    assert sorted(duplicates.tolist()) == sorted(others)


def test_a_copy_under_another_label_is_a_copy():
    inputs = images()
    inputs[7] = inputs[4]  # of the other class
    duplicates = copies(pool_of(inputs), torch.tensor([4]), torch.arange(5, 60), None)
    assert duplicates.tolist() == [7]


def test_near_copies_agree_with_the_cosine_of_centred_pixels():
    """A brighter image with more contrast has a cosine of one; noise lowers it."""
    inputs = images()
    inputs[1] = 0.5 * inputs[0] + 0.2
    inputs[2] = inputs[0] + 0.15 * torch.randn((3, 4, 4), generator=stream(1, "noise"))
    flat = inputs.flatten(1).double().numpy()
    import numpy as np

    cosine = np.corrcoef(flat)[0, 1:]
    for near in (0.5, 0.8, 0.999):
        expected = (np.nonzero(cosine >= near)[0] + 1).tolist()
        duplicates = copies(pool_of(inputs), torch.tensor([0]), torch.arange(1, 60), near)
        assert duplicates.tolist() == expected
    assert copies(pool_of(inputs), torch.tensor([0]), torch.arange(1, 60), None).tolist() == []


def test_nothing_among_nothing():
    pool = pool_of(images())
    none = torch.tensor([], dtype=torch.int64)
    assert copies(pool, torch.tensor([0]), none, 0.9).tolist() == []


def test_a_warning_says_how_many(doubled, caplog):
    pool, sample, *_ = doubled
    with caplog.at_level(logging.WARNING):
        indices = forget(pool, sample)
    assert indices.forget.tolist() == [sample]
    assert "1 of 42 retained and 1 of 17 held-out samples are copies" in caplog.text
    assert "duplicates=move" in caplog.text


def test_copies_move_to_the_forget_set_but_not_from_the_test_set(doubled):
    pool, sample, copy, held = doubled
    indices = forget(pool, sample, duplicates="move")
    assert indices.forget.tolist() == sorted([sample, copy])
    assert held in indices.test.tolist()
    assert indices.train.tolist() == forget(pool, sample).train.tolist()


def test_copies_can_be_an_error_or_be_ignored(doubled, caplog):
    pool, sample, *_ = doubled
    with pytest.raises(ConfigError, match=r"duplicates: 1 of 42 retained and 1 of 17 held-out"):
        forget(pool, sample, duplicates="error")
    assert forget(pool, sample, duplicates="ignore").forget.tolist() == [sample]
    assert caplog.text == ""


def test_without_copies_nothing_is_said(caplog):
    for policy in ("warn", "move", "error"):
        forget(pool_of(images()), train_and_test(pool_of(images()))[0][0], duplicates=policy)
    assert caplog.text == ""


def test_near_copies_move_too():
    inputs = images()
    train, _ = train_and_test(pool_of(inputs))
    inputs[train[5]] = 0.5 * inputs[train[0]] + 0.1
    pool = pool_of(inputs)
    assert len(forget(pool, train[0], duplicates="move").forget) == 1
    near = forget(pool, train[0], duplicates="move", near=0.99).forget
    assert near.tolist() == sorted([train[0], train[5]])


def test_moving_everything_is_refused():
    pool = pool_of(torch.zeros(60, 3, 4, 4))
    with pytest.raises(ConfigError, match="selects all 43 training samples"):
        RandomForget(duplicates="move")(pool, stream(0, "split"))


@pytest.mark.parametrize("near", [0.0, 1.5])
def test_a_cosine_out_of_range_is_refused(near):
    with pytest.raises(ConfigError, match=r"near must be in \(0, 1\] or null"):
        ClassForget(classes=[0], near=near)


def test_an_unknown_policy_is_refused():
    with pytest.raises(ConfigError, match="duplicates must be ignore, warn, error or move"):
        RandomForget(duplicates="drop")


@pytest.mark.slow
def test_the_one_copy_among_fifty_thousand_images_is_found():
    """5,000 samples against 45,000 of 3 x 32 x 32 pixels, without hashes from before."""
    inputs = torch.randint(
        256, (50_000, 3, 32, 32), dtype=torch.uint8, generator=stream(0, "images")
    )
    inputs[49_999] = inputs[0]
    pool = pool_of(inputs, divisor=255.0)
    duplicates = copies(pool, torch.arange(5000), torch.arange(5000, 50_000), None)
    assert duplicates.tolist() == [49_999]
