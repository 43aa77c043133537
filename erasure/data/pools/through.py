"""Pools that look through to another pool."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from erasure.core.columns import Column
from erasure.core.pool import Inputs, Pool
from erasure.core.task_types import TaskType


@dataclass(frozen=True)
class Through:
    """All that a pool is, passed on; whoever changes one thing overrides that one.

    Args:
        pool: The pool looked through.
    """

    pool: Pool

    def fetch(self, index: Tensor, *, augment: Generator | None = None) -> Inputs:
        """Pass on."""
        return self.pool.fetch(index, augment=augment)

    def stream(
        self, batches: Sequence[Tensor], *, augment: Generator | None = None
    ) -> Iterator[Inputs]:
        """Pass on, so that a pool that works ahead still does."""
        return self.pool.stream(batches, augment=augment)

    def digests(self, index: Tensor) -> Tensor:
        """Pass on."""
        return self.pool.digests(index)

    def sketch(self, index: Tensor) -> Tensor:
        """Pass on."""
        return self.pool.sketch(index)

    @property
    def targets(self) -> Tensor:
        """Labels of the pool."""
        return self.pool.targets

    @property
    def task_type(self) -> TaskType:
        """Task of the pool."""
        return self.pool.task_type

    @property
    def num_classes(self) -> int:
        """Number of classes of the pool."""
        return self.pool.num_classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names of the pool."""
        return self.pool.class_names

    @property
    def attributes(self) -> Mapping[str, Column]:
        """Attributes of the pool."""
        return self.pool.attributes

    @property
    def official(self) -> Tensor | None:
        """Official parts of the pool."""
        return self.pool.official

    @property
    def properties(self) -> Mapping[str, Any]:
        """Facts of the pool."""
        return self.pool.properties

    @property
    def augments(self) -> bool:
        """Whether the pool augments."""
        return self.pool.augments

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Sample shape of the pool."""
        return self.pool.input_shape

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the pool."""
        return self.pool.fingerprint


def unaudited(pool: Pool) -> Pool:
    """Return the pool behind an audited one."""
    return pool.pool if isinstance(pool, AuditedPool) else pool


@dataclass(frozen=True)
class AuditedPool(Through):
    """A pool that counts how often each of its samples is fetched.

    What a method read is thereby measured instead of declared, whatever loop it uses. A hash or
    a sketch reveals likeness only and is not counted.

    Args:
        pool: The pool looked through.
        reads: Number of fetches of each sample, ``(N,)`` int64, counted in place.
    """

    reads: Tensor

    @classmethod
    def watch(cls, pool: Pool) -> "AuditedPool":
        """Start counting at zero."""
        labels = pool.targets  # (N,), or (N, C) with several labels per sample
        return cls(pool, torch.zeros(len(labels), dtype=torch.int64, device=labels.device))

    def passes(self, index: Tensor) -> float:
        """Return how many times, on average, the samples ``index`` (n,) were fetched."""
        return self.reads[index.to(self.reads.device)].double().mean().item()

    def fetch(self, index: Tensor, *, augment: Generator | None = None) -> Inputs:
        """Count and pass on."""
        # not reads[index] += 1, which counts an id that is there twice only once
        self.reads.index_add_(0, index, torch.ones_like(index))
        return self.pool.fetch(index, augment=augment)

    def stream(
        self, batches: Sequence[Tensor], *, augment: Generator | None = None
    ) -> Iterator[Inputs]:
        """Count what the reader takes, not what the pool may have ready, and pass on."""
        inputs_by_batch = self.pool.stream(batches, augment=augment)
        for index, inputs in zip(batches, inputs_by_batch, strict=True):
            self.reads.index_add_(0, index, torch.ones_like(index))
            yield inputs
