"""Pools: fingerprints, content hashes, batches, and the count of what was read."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from erasure.core.columns import Column
from erasure.core.errors import DataError
from erasure.core.splits import View
from erasure.data.pools.augment import CropFlip
from erasure.data.pools.tensor import TensorPool
from erasure.data.pools.through import AuditedPool


def pool(**fields):
    base = {
        "inputs": torch.arange(4 * 12, dtype=torch.uint8).reshape(4, 3, 2, 2),
        "targets": torch.tensor([0, 1, 1, 0]),
        "class_names": ("no", "yes"),
        "divisor": 16.0,
        "attributes": {"person": Column(torch.tensor([7.0, 7.0, 8.0, 9.0]))},
    }
    return TensorPool(**base | fields)


def with_one_changed(tensor):
    changed = tensor.clone()
    changed.view(-1)[-1] = 1 - changed.view(-1)[-1].clamp(max=1)
    return changed


def test_the_fingerprint_is_that_of_the_contents():
    assert pool().fingerprint == pool().fingerprint
    assert len(pool().fingerprint) == 32


@pytest.mark.parametrize(
    "fields",
    [
        {"inputs": with_one_changed(pool().inputs)},
        {"inputs": pool().inputs.float()},
        {"targets": with_one_changed(pool().targets)},
        {"class_names": ("no", "maybe")},
        {"class_names": ("no", "yes", "maybe")},
        {"divisor": 255.0},
        {"attributes": {}},
        {"attributes": {"person": Column(torch.tensor([7.0, 7.0, 8.0, 10.0]))}},
        {"attributes": {"writer": Column(torch.tensor([7.0, 7.0, 8.0, 9.0]))}},
        {"augmentation": CropFlip(padding=1)},
        {"augmentation": CropFlip(padding=1, flip=True)},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_anything_a_model_could_learn_from_changes_the_fingerprint(fields):
    assert pool(**fields).fingerprint != pool().fingerprint


def test_augmentations_are_told_apart():
    prints = {
        pool(augmentation=augmentation).fingerprint
        for augmentation in (None, CropFlip(padding=1), CropFlip(padding=2), CropFlip(flip=True))
    }
    assert len(prints) == 4


def test_the_order_of_attributes_does_not_change_the_fingerprint():
    a, b = Column(torch.arange(4.0)), Column(torch.arange(4.0) + 1)
    one, other = pool(attributes={"a": a, "b": b}), pool(attributes={"b": b, "a": a})
    assert one.fingerprint == other.fingerprint
    assert one.fingerprint != pool(attributes={"a": b, "b": a}).fingerprint


def test_reading_does_not_change_the_fingerprint():
    read = pool()
    read.fetch(torch.tensor([2, 0]))
    assert read.fingerprint == pool().fingerprint


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_device_does_not_change_fingerprint_or_digests():
    here = pool()
    attributes = {"person": here.attributes["person"].cuda()}
    there = pool(inputs=here.inputs.cuda(), targets=here.targets.cuda(), attributes=attributes)
    index = torch.arange(4)
    assert there.fingerprint == here.fingerprint
    assert torch.equal(there.digests(index.cuda()).cpu(), here.digests(index))


def test_pixels_are_divided_when_they_are_fetched():
    inputs = pool().fetch(torch.tensor([1, 1]))
    assert inputs.dtype == torch.float32
    assert torch.equal(inputs[0].flatten(), torch.arange(12, 24).float() / 16)
    assert torch.equal(inputs[0], inputs[1])


def test_floats_are_fetched_as_they_are():
    inputs = torch.rand(4, 5, generator=torch.Generator().manual_seed(0))
    actual = pool(inputs=inputs, divisor=1.0).fetch(torch.tensor([3, 0]))
    assert torch.equal(actual, inputs[[3, 0]])


def test_augmentation_happens_on_request_only():
    inputs = torch.arange(16 * 16, dtype=torch.uint8).reshape(16, 1, 4, 4)
    fields = {"inputs": inputs, "targets": torch.zeros(16, dtype=torch.int64), "attributes": {}}
    augmented = pool(**fields, augmentation=CropFlip(padding=1))
    index = torch.arange(16)
    plain = pool(**fields).fetch(index)
    assert torch.equal(augmented.fetch(index), plain)
    drawn = augmented.fetch(index, augment=torch.Generator().manual_seed(0))
    assert not torch.equal(drawn, plain)
    unaugmented = pool(**fields).fetch(index, augment=torch.Generator().manual_seed(0))
    assert torch.equal(unaugmented, plain)


@given(
    rows=st.lists(st.lists(st.integers(0, 255), min_size=3, max_size=3), min_size=1, max_size=9)
)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.int64])
def test_digests_are_equal_exactly_where_contents_are(make_pool, rows, dtype):
    held = make_pool([0] * len(rows), inputs=torch.tensor(rows).to(dtype))
    digests = held.digests(torch.arange(len(rows))).tolist()
    assert len(digests) == len(rows)
    for i, one in enumerate(rows):
        for j, other in enumerate(rows):
            assert (digests[i] == digests[j]) == (one == other)


def test_digests_follow_their_ids_across_chunks(make_pool):
    inputs = torch.arange(5000) % 4999
    held = make_pool([0] * 5000, inputs=inputs.unsqueeze(1))
    index = torch.randperm(5000, generator=torch.Generator().manual_seed(0))
    every = held.digests(torch.arange(5000))
    assert torch.equal(held.digests(index), every[index])
    assert every[0] == every[4999]
    assert len(every.unique()) == 4999
    assert len(held.digests(torch.tensor([], dtype=torch.int64))) == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"targets": torch.tensor([0, 1])}, "targets has 2 rows for 4 inputs"),
        ({"attributes": {"age": Column(torch.tensor([0.0]))}}, "age has 1 rows for 4 inputs"),
        ({"targets": torch.tensor([0, 1, 2, 0])}, r"targets must be in \[0, 1\]"),
        ({"targets": torch.tensor([0, 1, -1, 0])}, r"targets must be in \[0, 1\]"),
    ],
)
def test_columns_that_do_not_fit_are_refused(fields, message):
    with pytest.raises(DataError, match=message):
        pool(**fields)


def test_shapes_and_classes_are_read_off_the_data():
    assert pool().input_shape == (3, 2, 2)
    assert pool().num_classes == 2


def test_an_audited_pool_counts_fetches_and_nothing_else():
    audited = AuditedPool.watch(pool())
    view = View(audited, torch.tensor([2, 0, 3]))
    for epoch in range(2):
        for _ in view.batches(2, generator=torch.Generator().manual_seed(epoch)):
            pass
    audited.digests(torch.arange(4))
    assert view.targets.tolist() == [1, 0, 0]
    assert audited.reads.tolist() == [2, 0, 2, 2]
    assert audited.passes(torch.tensor([2, 0, 3])) == 2.0
    assert audited.passes(torch.tensor([1, 0])) == 1.0
    audited.fetch(torch.tensor([1, 1, 1]))
    assert audited.reads[1] == 3


def test_samples_with_several_labels_are_counted_as_samples():
    labels = torch.tensor([[0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1]])
    audited = AuditedPool.watch(pool(targets=labels, class_names=("a", "b", "c")))
    audited.fetch(torch.tensor([3, 1, 3]))
    assert audited.reads.tolist() == [0, 1, 0, 2]


def test_an_audited_pool_looks_like_its_pool():
    plain = pool(augmentation=CropFlip(padding=1))
    audited = AuditedPool.watch(plain)
    names = ("task_type", "num_classes", "class_names", "attributes", "input_shape", "fingerprint")
    for name in names:
        assert getattr(audited, name) == getattr(plain, name)
    index = torch.tensor([1, 3])
    drawn = [p.fetch(index, augment=torch.Generator().manual_seed(1)) for p in (plain, audited)]
    assert torch.equal(*drawn)
    assert torch.equal(audited.digests(index), plain.digests(index))
    assert audited.targets is plain.targets


def test_pools_are_immutable():
    with pytest.raises(AttributeError):
        pool().divisor = 2.0
    assert replace(pool(), divisor=2.0).fingerprint != pool().fingerprint
