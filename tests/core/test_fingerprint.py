"""Content hashes: what they see and what they do not."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from erasure.core.fingerprint import (
    combine,
    fingerprint,
    ids_fingerprint,
    model_fingerprint,
    tensor_fingerprint,
)
from erasure.core.seeding import isolated

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


def reversed_keys(value):
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return [reversed_keys(item) for item in value] if isinstance(value, list) else value


@given(plain)
def test_key_order_does_not_matter(value):
    assert fingerprint(reversed_keys(value)) == fingerprint(value)


def test_content_type_and_list_order_matter():
    values = [1, "1", 1.5, True, None, [1, 2], [2, 1], {"a": 1}, {"b": 1}, {"a": {"a": 1}}, [], {}]
    assert len({fingerprint(value) for value in values}) == len(values)


def test_a_fingerprint_is_32_hex_digits_and_the_same_in_another_process(python):
    code = "from erasure.core.fingerprint import fingerprint; print(fingerprint({'b': 1, 'a': 2}))"
    output = python("-c", code, PYTHONHASHSEED="77").stdout.strip()
    assert output == fingerprint({"a": 2, "b": 1})
    assert len(output) == 32
    assert int(output, 16) >= 0


def test_what_json_cannot_say_is_refused():
    with pytest.raises(TypeError):
        fingerprint({"a": {1, 2}})


def test_tensors_differ_by_bytes_dtype_shape_and_number():
    base = torch.arange(4)
    tensors = [
        (base,),
        (base.int(),),
        (base.float(),),
        (base.reshape(2, 2),),
        (base.flip(0),),
        (base[:2], base[2:]),
        (base, base),
        (torch.tensor(0),),
        (torch.empty(0),),
        (torch.tensor([True, False]),),
        (torch.tensor([1.0, 2.0], dtype=torch.bfloat16),),
    ]
    assert len({tensor_fingerprint(*some) for some in tensors}) == len(tensors)


def test_memory_layout_and_gradients_do_not_matter():
    grid = torch.arange(6.0).reshape(2, 3)
    strided = grid.t().contiguous().t()
    assert not strided.is_contiguous()
    assert tensor_fingerprint(strided) == tensor_fingerprint(grid)
    assert tensor_fingerprint(grid.clone().requires_grad_()) == tensor_fingerprint(grid)


@given(st.lists(st.integers(0, 2**40), max_size=8, unique=True), st.randoms(use_true_random=False))
def test_ids_are_a_set(ids, shuffler):
    other = list(ids)
    shuffler.shuffle(other)
    assert ids_fingerprint(torch.tensor(other)) == ids_fingerprint(torch.tensor(ids))
    assert ids_fingerprint(torch.tensor([*ids, 2**41])) != ids_fingerprint(torch.tensor(ids))


def test_a_model_is_its_parameters_buffers_and_names():
    with isolated(0, "model"):
        model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    before = model_fingerprint(model)
    with torch.no_grad():
        model[1].running_mean[0] += 1
    moved = model_fingerprint(model)
    assert moved != before
    assert model_fingerprint(nn.Sequential(nn.Identity(), *model)) != moved
    model.eval().requires_grad_(requires_grad=False)
    assert model_fingerprint(model) == moved


def test_combined_fingerprints_keep_their_order():
    assert combine(["a", "b"]) == combine(iter(["a", "b"]))
    assert combine(["a", "b"]) != combine(["b", "a"])


def test_fingerprints_stay_what_they_are_between_versions():
    """Or nothing that is stored would be found again: what changes them raises the version."""
    assert fingerprint({"b": 1, "a": [2.5, None, "é"]}) == "d74fa9628e08b435aacdab7e24babe95"
    assert tensor_fingerprint(torch.arange(3)) == "9846cb40f20624deba66e40ebec60f02"
