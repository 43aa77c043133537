"""Loops and comparisons that the tests of several methods share."""

from functools import partial

import pytest
import torch

from erasure.core.seeding import isolated, stream
from erasure.core.splits import DataSplits, SplitIndices
from erasure.core.task import UnlearningTask
from erasure.core.task_types import Multilabel
from erasure.data.pools.tensor import TensorPool
from erasure.data.pools.through import AuditedPool
from erasure.models.mlp import MLP
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
        results = [v.clone() for name, v in model.state_dict().items() if "running_mean" in name]
        return torch.cat(results)

    return vector


@pytest.fixture
def multilabel_task():
    """Build a task of 60 samples with three labels each, on or off, and an untrained MLP."""

    def fresh(salt=""):
        with isolated(0, "multilabel", salt):
            return MLP((4,), 3, hidden=(8,))

    def make():
        generator = stream(0, "multilabel", "data")
        inputs = torch.randn(60, 4, generator=generator)
        pool = TensorPool(
            inputs=inputs,
            targets=(inputs[:, :3] > 0).long(),
            class_names=("one", "two", "three"),
            task_type=Multilabel(),
        )
        forget, retain, val, test = torch.arange(60).split([11, 29, 12, 8])
        indices = SplitIndices(forget=forget, retain=retain, val=val, test=test)
        splits = DataSplits.of(AuditedPool.watch(pool), indices)
        return UnlearningTask(
            model=fresh(),
            forget=splits.forget,
            retain=splits.retain,
            val=splits.val,
            task_type=pool.task_type,
            num_classes=3,
            generator=stream(0, "unlearn"),
            fresh=fresh,
            train=lambda view: fresh(),
        )

    return make
