"""Loops and comparisons that the tests of several methods share."""

from functools import partial

import pytest
import torch

from erasure.training.fit import Fit


@pytest.fixture
def fit():
    """Build a Fit on SGD at a rate of 0.05, or on another optimizer."""

    def make(optimizer=torch.optim.SGD, *, lr=0.05, epochs=2, batch_size=32, mode="train", **more):
        chosen = partial(optimizer, lr=lr, **more)
        return Fit(optimizer=chosen, epochs=epochs, batch_size=batch_size, mode=mode)

    return make


@pytest.fixture
def parameters():
    """Return all parameters of a model as one vector."""

    def vector(model):
        return torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()

    return vector


@pytest.fixture
def statistics():
    """Return all running means of a model as one vector."""

    def vector(model):
        found = [v.clone() for name, v in model.state_dict().items() if "running_mean" in name]
        return torch.cat(found)

    return vector
