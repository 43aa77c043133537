"""Guards around a trial: what counts as a change."""

import torch
from torch import nn

from erasure.core.seeding import isolated
from erasure.trial.guards import relative_change


def linear(*weights):
    with isolated(0, "guards"), torch.no_grad():
        model = nn.Linear(len(weights), 1, bias=False)
        model.weight.copy_(torch.tensor([weights]))
    return model


def test_a_change_is_relative_to_the_weights_there_were():
    assert relative_change(linear(3.0, 4.0), linear(3.0, 4.5)) == 0.1
    assert relative_change(linear(3.0, 4.0), linear(3.0, 4.0)) == 0.0


def test_there_is_none_between_other_shapes_or_from_nothing():
    assert relative_change(linear(1.0), linear(1.0, 1.0)) is None
    assert relative_change(linear(0.0), linear(1.0)) is None
