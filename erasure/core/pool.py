"""What a data set is to everybody: samples gathered by id."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

from torch import Generator, Tensor

from erasure.core.columns import Column
from erasure.core.task_types import TaskType

Inputs: TypeAlias = Any
"""What a model eats: a tensor, a mapping of tensors, a graph batch. Only models look inside."""


class Batch(NamedTuple):
    """A batch of samples: opaque ``inputs``, ``targets`` (B,) and ``ids`` (B,)."""

    inputs: Inputs
    targets: Tensor
    ids: Tensor


class Pool(Protocol):
    """All samples of a data set, gathered by id; an id is a row number for life."""

    @property
    def targets(self) -> Tensor:
        """Labels ``(N,)``, on the device of the pool."""

    @property
    def task_type(self) -> TaskType:
        """What the labels mean and which losses fit them."""

    @property
    def num_classes(self) -> int:
        """Number of classes the labels can take, whether or not each occurs."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per class."""

    @property
    def attributes(self) -> Mapping[str, Column]:
        """Further columns of N rows by name, for splits that select by them."""

    @property
    def official(self) -> Tensor | None:
        """Part each sample has in the split of its authors: 0 train, 1 val, 2 test, ``(N,)``."""

    @property
    def properties(self) -> Mapping[str, Any]:
        """What a model may need to know besides shape and classes, such as ``vocab_size``."""

    @property
    def augments(self) -> bool:
        """Whether ``fetch`` with a generator returns something else than without."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample as the model sees it."""

    @property
    def fingerprint(self) -> str:
        """Hash of the contents."""

    def fetch(self, index: Tensor, *, augment: Generator | None = None) -> Inputs:
        """Return the inputs of the ids ``index`` (B,), augmented if a generator is given."""

    def stream(
        self, batches: Sequence[Tensor], *, augment: Generator | None = None
    ) -> Iterator[Inputs]:
        """Fetch one batch of ids after the other; a pool may work ahead of its reader."""

    def digests(self, index: Tensor) -> Tensor:
        """Return a content hash (B,) int64 per sample; equal inputs have equal hashes."""

    def sketch(self, index: Tensor) -> Tensor:
        """Return a short vector (B, D) per sample; near duplicates have a cosine near one."""


@runtime_checkable
class FittingPool(Protocol):
    """A pool whose preprocessing has parameters, to be fitted on training samples alone."""

    def fitted(self, train: Tensor) -> Pool:
        """Return the pool preprocessed by what the samples ``train`` (n,) say."""
