"""Reduced precision: invisible from outside but for its rounding."""

import copy

import pytest
import torch
from torch import nn

from erasure.core.errors import ConfigError
from erasure.core.seeding import isolated
from erasure.models.cnn import CNN
from erasure.models.mlp import MLP
from erasure.models.precision import with_precision


def network():
    with isolated(0, "model"):
        return MLP((16,), 3, hidden=[32])


def rows(count=8):
    return torch.randn(count, 16, generator=torch.Generator().manual_seed(0))


def test_logits_are_float32_and_rounded_to_bfloat16():
    plain, reduced = network()(rows()), with_precision(network(), "bf16")(rows())
    assert reduced.dtype == torch.float32
    assert torch.equal(reduced, reduced.bfloat16().float())
    assert not torch.equal(reduced, plain)
    torch.testing.assert_close(reduced, plain, rtol=2**-6, atol=2**-6)


def test_full_precision_changes_nothing():
    model = network()
    assert with_precision(model, "32") is model
    assert type(model) is MLP


def test_weights_gradients_and_names_stay_what_they_were():
    model = with_precision(network(), "bf16")
    assert list(model.state_dict()) == list(network().state_dict())
    model(rows()).sum().backward()
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert {p.grad.dtype for p in model.parameters()} == {torch.float32}
    assert isinstance(model, MLP)
    assert type(model).__name__ == "MLP"


def test_a_copy_is_independent_and_reduced_as_well():
    model = with_precision(network(), "bf16")
    before = model(rows())
    other = copy.deepcopy(model)
    assert torch.equal(other(rows()), before)
    with torch.no_grad():
        other.layers[-1].bias += 1000
    assert torch.equal(model(rows()), before)
    moved = other(rows())
    assert (moved - before).min() > 900
    assert torch.equal(moved, moved.bfloat16().float())


def test_a_step_is_seen_by_the_next_forward_pass():
    """Autocast around a whole loop would go on using weights it cast before the step."""
    model = with_precision(network(), "bf16")
    before = model(rows())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    assert not torch.equal(model(rows()), before)


def test_it_fits_networks_with_batch_normalization():
    with isolated(0, "model"):
        model = with_precision(CNN((1, 8, 8), 4), "bf16")
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert model(images).dtype == torch.float32
    assert model.blocks[1].running_mean.dtype == torch.float32
    assert model.blocks[1].num_batches_tracked == 1


def test_the_class_of_other_models_is_left_alone():
    with_precision(network(), "bf16")
    assert MLP.__mro__[1] is nn.Module
    assert not torch.equal(network()(rows()), network()(rows()).bfloat16().float())


@pytest.mark.parametrize("precision", ["16", "fp16", "", 32])
def test_an_unknown_precision_is_refused(precision):
    with pytest.raises(ConfigError, match=f"precision must be 32 or bf16, got {precision!r}"):
        with_precision(network(), precision)
