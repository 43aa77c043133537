"""Index sets over one pool, and the views that look through them."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import torch
from torch import Generator, Tensor

from erasure.core.errors import ConfigError
from erasure.core.fingerprint import combine, ids_fingerprint
from erasure.core.types import Batch, Pool


@dataclass(frozen=True, kw_only=True)
class SplitIndices:
    """Sample ids of the four parts of a trial, each ``(n,)`` int64 and kept sorted.

    ``forget`` and ``retain`` together are the training set of the original model.

    Raises:
        ConfigError: If a part is empty, an id occurs twice, or two parts overlap.
    """

    forget: Tensor
    retain: Tensor
    val: Tensor
    test: Tensor

    def __post_init__(self) -> None:
        for field in fields(self):
            ids = getattr(self, field.name).long().cpu().sort().values
            object.__setattr__(self, field.name, ids)
            if len(ids) == 0:
                raise ConfigError(f"the {field.name} set of this split is empty")
        every = torch.cat([self.forget, self.retain, self.val, self.test])
        values, counts = every.unique(return_counts=True)
        if len(values) != len(every):
            shared = values[counts > 1][:5].tolist()
            raise ConfigError(f"the parts of this split overlap, for example in ids {shared}")

    @property
    def train(self) -> Tensor:
        """Sorted ids of forget and retain: one original serves every choice of forget set."""
        return torch.cat([self.forget, self.retain]).sort().values

    @property
    def fingerprint(self) -> str:
        """Hash of the four parts."""
        return combine(ids_fingerprint(getattr(self, field.name)) for field in fields(self))


@dataclass(frozen=True)
class View:
    """Some samples of a pool, in a fixed order, perhaps under other labels.

    Args:
        pool: Where the samples live.
        index: Their ids, ``(n,)`` int64.
        labels: Labels ``(n,)`` to use instead of the pool's, aligned with ``index``.
    """

    pool: Pool
    index: Tensor
    labels: Tensor | None = None

    def __post_init__(self) -> None:
        if self.labels is not None and len(self.labels) != len(self.index):
            raise ValueError(f"{len(self.labels)} labels for {len(self.index)} samples")
        device = self.pool.targets.device
        object.__setattr__(self, "index", self.index.to(device))
        if self.labels is not None:
            object.__setattr__(self, "labels", self.labels.to(device))

    def __len__(self) -> int:
        return len(self.index)

    def __add__(self, other: "View") -> "View":
        """Concatenate two views of one pool."""
        if self.pool is not other.pool:
            raise ValueError("views of different pools cannot be added")
        index = torch.cat([self.index, other.index])
        if self.labels is None and other.labels is None:
            return View(self.pool, index)
        return View(self.pool, index, torch.cat([self.targets, other.targets]))

    @property
    def targets(self) -> Tensor:
        """Labels ``(n,)`` in the order of the view."""
        return self.pool.targets[self.index] if self.labels is None else self.labels

    def take(self, which: Tensor) -> "View":
        """Return the samples at a boolean mask ``(n,)`` or at positions ``(m,)``."""
        which = which.to(self.index.device)
        labels = None if self.labels is None else self.labels[which]
        return View(self.pool, self.index[which], labels)

    def relabel(self, labels: Tensor) -> "View":
        """Return the same samples under ``labels`` (n,)."""
        return replace(self, labels=labels)

    def batches(
        self, size: int, *, generator: Generator | None = None, augment: bool = False
    ) -> Iterator[Batch]:
        """Visit every sample once, in batches of ``size``; the last may be smaller.

        Args:
            size: Samples per batch.
            generator: Shuffle with this generator; without it the order is that of the view.
            augment: Apply the pool's augmentation, drawn from ``generator``.

        A shuffled pass is a training pass: there a tail of a single sample joins the batch
        before it, because batch normalization cannot normalize one sample. It is never dropped.
        """
        if augment and generator is None:
            raise ValueError("augmentation needs a generator")
        index, labels = self.index, self.targets
        if generator is not None:
            order = torch.randperm(len(self), generator=generator).to(index.device)
            index, labels = index[order], labels[order]
        for start, stop in _bounds(len(self), size, merge_tail=generator is not None):
            ids = index[start:stop]
            inputs = self.pool.fetch(ids, augment=generator if augment else None)
            yield Batch(inputs, labels[start:stop], ids)

    def num_batches(self, size: int) -> int:
        """Return how many batches one shuffled pass makes."""
        return len(_bounds(len(self), size, merge_tail=True))


def _bounds(length: int, size: int, *, merge_tail: bool) -> list[tuple[int, int]]:
    starts = list(range(0, length, size))
    if merge_tail and size > 1 and len(starts) > 1 and length - starts[-1] == 1:
        starts.pop()
    return list(pairwise([*starts, length]))


@dataclass(frozen=True, kw_only=True)
class DataSplits:
    """The four parts of a trial as views of one pool."""

    forget: View
    retain: View
    val: View
    test: View

    @classmethod
    def of(cls, pool: Pool, indices: SplitIndices) -> "DataSplits":
        """Look at ``pool`` through ``indices``."""
        parts = {field.name: getattr(indices, field.name) for field in fields(indices)}
        return cls(**{name: View(pool, ids) for name, ids in parts.items()})

    @property
    def train(self) -> View:
        """Forget and retain together, sorted by id whatever the forget set is."""
        both = self.forget + self.retain
        return View(both.pool, both.index.sort().values)

    def part(self, name: str) -> View:
        """Return a part by name."""
        view: View = getattr(self, name)
        return view
