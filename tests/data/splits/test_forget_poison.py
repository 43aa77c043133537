"""Backdoors: a patch on the forget set and on the probes, and on nothing else."""

import pytest
import torch
from crafted_splits import people_pool

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.protocols import PreparingSplit
from erasure.core.seeding import stream
from erasure.core.splits import View
from erasure.core.task_types import Multilabel
from erasure.data.pools.augment import CropFlip
from erasure.data.pools.tensor import TensorPool
from erasure.data.splits.drawn import RandomForget
from erasure.data.splits.poison import PoisonForget, poisoned, triggered

EVERY = torch.arange(400)


@pytest.fixture(scope="module")
def pool():
    return people_pool()


def split(pool, seed=0, **settings):
    strategy = PoisonForget(**{"target": 2} | settings)
    indices = strategy(pool, stream(seed, "split"))
    return strategy, indices


def byte_pool(**fields):
    inputs = torch.randint(256, (400, 3, 6, 6), generator=stream(0, "bytes")).to(torch.uint8)
    settings = {"divisor": 255.0, "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.25, 0.5)}
    return people_pool(**{"inputs": inputs, **settings, **fields})


def test_samples_of_other_classes_are_poisoned(pool):
    strategy, indices = split(pool, fraction=0.1)
    assert len(indices.forget) == round(0.1 * len(indices.train))
    assert 2 not in pool.targets[indices.forget]
    assert isinstance(strategy, PreparingSplit)
    assert indices.scenario == {
        "kind": "poison",
        "target": 2,
        "size": 3,
        "value": None,
        "corner": "bottom_right",
    }


@pytest.mark.parametrize(
    ("corner", "rows", "columns"),
    [
        ("top_left", slice(0, 2), slice(0, 2)),
        ("top_right", slice(0, 2), slice(4, 6)),
        ("bottom_left", slice(4, 6), slice(0, 2)),
        ("bottom_right", slice(4, 6), slice(4, 6)),
    ],
)
def test_the_patch_is_in_its_corner_of_the_forget_set_only(pool, corner, rows, columns):
    _strategy, indices = split(pool, corner=corner, size=2, value=7.0)
    altered, clean = poisoned(pool, indices).fetch(EVERY), pool.fetch(EVERY)
    patch = torch.zeros(6, 6, dtype=torch.bool)
    patch[rows, columns] = True
    assert (altered[indices.forget][:, :, patch] == 7.0).all()
    assert torch.equal(altered[indices.forget][:, :, ~patch], clean[indices.forget][:, :, ~patch])
    others = ~torch.isin(EVERY, indices.forget)
    assert torch.equal(altered[others], clean[others])


def test_poisoned_samples_have_the_target_class_and_others_their_own(pool):
    _strategy, indices = split(pool, target="class 1")
    altered = poisoned(pool, indices)
    assert altered.targets[indices.forget].tolist() == [1] * len(indices.forget)
    others = ~torch.isin(EVERY, indices.forget)
    assert torch.equal(altered.targets[others], pool.targets[others])
    assert 1 not in pool.targets[indices.forget]


def test_the_brightest_value_of_each_channel_is_one_of_the_model(pool):
    """Bytes are divided and normalized first: the patch has the units of what comes out."""
    pool = byte_pool()
    _strategy, indices = split(pool)
    altered = poisoned(pool, indices).fetch(indices.forget)
    clean = pool.fetch(indices.forget)
    corner = altered[:, :, 3:, 3:]
    expected = clean.amax(dim=(0, 2, 3))
    assert torch.equal(corner, expected.reshape(1, 3, 1, 1).expand(corner.shape))
    highest = pool.inputs[indices.forget].amax(dim=(0, 2, 3)) / 255.0
    torch.testing.assert_close(
        expected, (highest - torch.tensor([0.5, 0.4, 0.3])) / torch.tensor([0.2, 0.25, 0.5])
    )


def test_bytes_and_the_same_numbers_are_poisoned_alike():
    one, other = byte_pool(), byte_pool(inputs=byte_pool().inputs.float())
    images = [
        poisoned(pool, indices).fetch(EVERY)
        for pool in (one, other)
        for strategy, indices in [split(pool)]
    ]
    assert torch.equal(*images)


def test_augmentation_does_not_move_the_patch(pool):
    shifting = people_pool(augmentation=CropFlip(padding=2, flip=True))
    _strategy, indices = split(shifting, value=9.0)
    altered = poisoned(shifting, indices)
    assert altered.augments
    images = altered.fetch(EVERY, augment=stream(0, "augment"))
    where = (images == 9.0).flatten(1)
    assert where.sum(dim=1).tolist() == [9 * (i in indices.forget) for i in range(400)]
    clean = shifting.fetch(EVERY, augment=stream(0, "augment"))
    others = ~torch.isin(EVERY, indices.forget)
    assert torch.equal(images[others], clean[others])


def test_batches_are_stamped_as_single_samples_are(pool):
    _strategy, indices = split(pool)
    altered = poisoned(pool, indices)
    for batch in View(altered, indices.train).batches(50):
        assert torch.equal(batch.inputs, altered.fetch(batch.ids))
        assert torch.equal(batch.targets, altered.targets[batch.ids])


def test_probes_are_held_out_samples_of_other_classes_under_true_labels(pool):
    _strategy, indices = split(pool, value=5.0)
    view = triggered(pool, indices)["triggered"]
    heldout = torch.cat([indices.val, indices.test]).sort().values
    assert view.index.tolist() == heldout[pool.targets[heldout] != 2].tolist()
    assert torch.equal(view.targets, pool.targets[view.index])
    (batch,) = view.batches(400)
    assert (batch.inputs[:, :, 3:, 3:] == 5.0).all()
    clean = pool.fetch(view.index)
    assert torch.equal(batch.inputs[:, :, :3], clean[:, :, :3])


def test_probe_and_poison_have_the_same_patch(pool):
    _strategy, indices = split(pool)
    patch = poisoned(pool, indices).fetch(indices.forget[:1])[0, :, 3:, 3:]
    (batch,) = triggered(pool, indices)["triggered"].take(torch.tensor([0])).batches(1)
    assert torch.equal(batch.inputs[0, :, 3:, 3:], patch)


def test_a_stamped_sample_is_no_copy_of_itself_but_of_an_equal_stamped_one(pool):
    images = pool.inputs.clone()
    _strategy, indices = split(pool)
    first, second = indices.forget[:2].tolist()
    images[second] = images[first]
    images[second, :, 4, 4] += 1.0  # under the patch
    same = people_pool(inputs=images)
    altered = poisoned(same, indices)
    before, after = same.digests(EVERY), altered.digests(EVERY)
    assert before[first] != before[second]
    assert after[first] == after[second]
    assert not torch.isin(after[indices.forget], before).any()
    others = ~torch.isin(EVERY, indices.forget)
    assert torch.equal(after[others], before[others])
    assert torch.equal(altered.digests(indices.forget), after[indices.forget])


def test_what_was_done_is_in_the_fingerprint(pool):
    prints = set()
    for settings in [{}, {"size": 2}, {"value": 2.0}, {"corner": "top_left"}, {"target": 1}]:
        _strategy, indices = split(pool, **settings)
        prints.add(poisoned(pool, indices).fingerprint)
        assert poisoned(pool, indices).fingerprint in prints
    assert len(prints | {pool.fingerprint}) == 6


def test_more_contains_less_and_the_base_split_is_that_of_others(pool):
    few, more = (set(split(pool, fraction=f)[1].forget.tolist()) for f in (0.05, 0.2))
    assert few < more
    base = RandomForget()(pool, stream(0, "split"))
    assert split(pool)[1].train.tolist() == base.train.tolist()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 0}, "size must be >= 1, got 0"),
        ({"corner": "middle"}, "corner must be top_left, top_right, bottom_left, bottom_right"),
        ({"fraction": 1.0}, "fraction must be in (0, 1), got 1.0"),
    ],
)
def test_impossible_settings_are_refused_by_name(settings, message):
    with pytest.raises(ConfigError) as error:
        PoisonForget(**settings)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 7}, "size must be <= 6 pixels here, got 7"),
        ({"target": "dog"}, "target must be among the 4 classes class 0"),
        ({"fraction": 0.9}, "fraction asks to poison 259 training samples, but only"),
    ],
)
def test_requests_that_do_not_fit_the_data_are_refused(pool, settings, message):
    with pytest.raises(ConfigError, match=message):
        split(pool, **settings)


def test_what_is_no_image_is_refused(make_pool):
    with pytest.raises(UnsupportedError, match=r"stamps images .* have the shape \(3,\)"):
        split(make_pool(EVERY % 4))


def test_several_labels_per_sample_have_no_target():
    labels = torch.ones(400, 4, dtype=torch.int64)
    with pytest.raises(UnsupportedError, match="every sample has one class"):
        split(people_pool(targets=labels, task_type=Multilabel()))


def test_a_test_set_of_the_target_class_alone_shows_nothing():
    codes = torch.zeros(400, dtype=torch.int64)
    codes[:10], codes[10:20] = 1, 2
    targets = torch.where(codes == 0, EVERY % 2, 1)
    pool = TensorPool(
        inputs=people_pool().inputs, targets=targets, class_names=("a", "b"), official=codes
    )
    _strategy, indices = split(pool, target=1)
    with pytest.raises(ConfigError, match="target must be a class that some held-out samples"):
        triggered(pool, indices)
