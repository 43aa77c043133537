"""A pool whose inputs are row numbers, and models that look their logits up by row."""

import pytest
import torch
from torch import nn

from erasure.core.context import EvalContext
from erasure.core.splits import DataSplits, SplitIndices
from erasure.core.task_types import Multiclass
from erasure.data.pools.tensor import TensorPool

PARTS = ("forget", "retain", "val", "test")


class Lookup(nn.Module):
    """Returns row ``i`` of a table for the input ``i`` and counts its calls."""

    def __init__(self, table):
        super().__init__()
        self.table = nn.Parameter(table.float())
        self.norm = nn.BatchNorm1d(1)  # a buffer that a forward pass in train mode would move
        self.calls = 0

    def forward(self, inputs):
        self.calls += 1
        return self.table[inputs.long().squeeze(-1)] + 0.0 * self.norm(inputs)


@pytest.fixture
def make_ctx():
    """Build a context from targets and logits by part: ``(targets, {who: logits})``."""

    def make(parts, *, heldout="test", seed=0, costs=None, batch_size=1024):
        filled = {name: parts.get(name, _filler(parts)) for name in PARTS}
        targets = torch.cat([labels for labels, _ in filled.values()])
        bounds = torch.tensor([0, *(len(labels) for labels, _ in filled.values())]).cumsum(0)
        ids = [torch.arange(bounds[i], bounds[i + 1]) for i in range(len(PARTS))]
        roles = filled["forget"][1]
        models = {who: Lookup(torch.cat([t[who] for _, t in filled.values()])) for who in roles}
        num_classes = next(iter(roles.values())).shape[-1]
        pool = TensorPool(
            inputs=torch.arange(len(targets)).unsqueeze(-1),
            targets=targets,
            class_names=tuple(f"class {i}" for i in range(num_classes)),
        )
        return EvalContext(
            models=models,
            splits=DataSplits.of(pool, SplitIndices(**dict(zip(PARTS, ids, strict=True)))),
            task_type=Multiclass(),
            num_classes=num_classes,
            heldout=heldout,
            seed=seed,
            costs=costs or {},
            batch_size=batch_size,
        )

    return make


@pytest.fixture
def random_ctx(make_ctx):
    """Build a context of random logits: 40 forget, 90 retain, 50 val and 60 test samples."""

    def make(*, roles=("original", "unlearned", "gold"), num_classes=4, draw=0, **options):
        generator = torch.Generator().manual_seed(draw)
        parts = {}
        for name, n in zip(PARTS, (40, 90, 50, 60), strict=True):
            labels = torch.randint(num_classes, (n,), generator=generator)
            tables = {w: torch.randn(n, num_classes, generator=generator) for w in roles}
            parts[name] = (labels, tables)
        return make_ctx(parts, **options)

    return make


def _filler(parts):
    """One sample of class 0 that every role predicts evenly."""
    _, tables = next(iter(parts.values()))
    return torch.zeros(1, dtype=torch.int64), {
        w: torch.zeros(1, t.shape[-1]) for w, t in tables.items()
    }
