import pytest
import torch

from erasure.core.errors import DataError
from erasure.data.pools.samples import SamplePool

NAMES = ("0", "1")


def pool(inputs, labels=(0, 1, 0, 1)):
    return SamplePool(inputs=inputs, targets=torch.tensor(labels), class_names=NAMES)


def test_samples_keep_their_type():
    ids = torch.arange(8).reshape(4, 2)
    batch = pool(ids).fetch(torch.tensor([2, 0]))
    assert batch.dtype is torch.int64
    assert batch.tolist() == [[4, 5], [0, 1]]
    several = pool({"ids": ids, "mask": ids > 0})
    batch = several.fetch(torch.tensor([0]))
    assert {name: rows.tolist() for name, rows in batch.items()} == {
        "ids": [[0, 1]],
        "mask": [[False, True]],
    }
    assert several.input_shape == (2,)
    assert not several.augments


def test_equal_samples_have_equal_digests_and_pools_of_other_contents_other_fingerprints():
    a, b = torch.tensor([[1, 2], [1, 2], [3, 4], [3, 4]]), torch.tensor([0, 1, 0, 0]).unsqueeze(1)
    first, second, third, fourth = pool({"a": a, "b": b}).digests(torch.arange(4)).tolist()
    assert third == fourth
    assert len({first, second, third}) == 3
    prints = [pool(a), pool(a.flip(0)), pool(a, (1, 1, 0, 1)), pool({"a": a}), pool({"b": a})]
    assert len({each.fingerprint for each in prints}) == 5
    assert pool({"a": a, "b": b}).sketch(torch.arange(2)).shape == (2, 3)


def test_every_tensor_has_a_row_per_label():
    with pytest.raises(DataError, match="targets has 4 rows for 3 inputs"):
        pool({"a": torch.zeros(4, 2), "b": torch.zeros(3, 2)})
