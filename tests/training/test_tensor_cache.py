"""Tensors are computed once, and what they cost is remembered with them."""

from types import SimpleNamespace

import pytest
import torch

from erasure.training import tensor_cache
from erasure.training.tensor_cache import TensorCache

CPU = torch.device("cpu")


def refuse():
    raise AssertionError("computed although it was there")


@pytest.fixture
def clock(monkeypatch):
    """Let every look at the clock be four seconds after the last."""
    ticks = iter(range(0, 1000, 4))
    monkeypatch.setattr(tensor_cache, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))


def test_a_hit_costs_what_its_computation_cost(tmp_path, clock):
    cache = TensorCache(tmp_path)
    values = {"a": torch.arange(3.0)}
    first = cache.get("0" * 32, CPU, lambda: values)
    again = cache.get("0" * 32, CPU, refuse)
    assert first[1:] == (4.0, True)
    assert again[1:] == (4.0, False)
    assert torch.equal(again[0]["a"], values["a"])


@pytest.mark.parametrize("damage", [lambda whole: whole[:20], lambda _: b""])
def test_a_damaged_file_is_computed_again(tmp_path, damage):
    cache = TensorCache(tmp_path)
    cache.get("0" * 32, CPU, lambda: {"a": torch.zeros(2)})
    (file,) = (tmp_path / "tensors").iterdir()
    file.write_bytes(damage(file.read_bytes()))
    tensors, _, computed = cache.get("0" * 32, CPU, lambda: {"a": torch.ones(2)})
    assert computed
    assert tensors["a"].tolist() == [1.0, 1.0]
    assert [path.name for path in (tmp_path / "tensors").iterdir()] == [file.name]
