"""What all pools have in common: labels, columns, official parts."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any

from torch import Generator, Tensor

from erasure.core.columns import Column
from erasure.core.errors import DataError
from erasure.core.fingerprint import combine, fingerprint, tensor_fingerprint
from erasure.core.pool import Inputs
from erasure.core.task_types import Multiclass, TaskType

TRAIN, VAL, TEST, NOWHERE = 0, 1, 2, -1
"""Codes of the official parts."""


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Labels of N samples; a pool adds their inputs.

    Args:
        targets: Class of each sample ``(N,)`` int64, or labels ``(N, C)`` of 0 and 1.
        class_names: One name per class.
        attributes: Further columns by name.
        official: Part of each sample ``(N,)`` int8 in the split of the authors: 0 train, 1 val,
            2 test, -1 none.
        task_type: What the labels mean.
        properties: What a model may need to know besides shape and classes.

    Raises:
        DataError: If lengths differ, or a label is not one of the classes.
    """

    targets: Tensor
    class_names: tuple[str, ...]
    attributes: Mapping[str, Column] = field(default_factory=dict)
    official: Tensor | None = None
    task_type: TaskType = field(default_factory=Multiclass)
    properties: Mapping[str, Any] = field(default_factory=dict)

    def check(self, length: int) -> None:
        """Refuse labels and columns that do not fit ``length`` inputs or the classes."""
        columns: dict[str, Sized] = {"targets": self.targets, **self.attributes}
        if self.official is not None:
            columns["official"] = self.official
        for name, column in columns.items():
            if len(column) != length:
                raise DataError(f"{name} has {len(column)} rows for {length} inputs")
        if self.targets.ndim == 1 and self.targets.is_floating_point():
            raise DataError(f"targets must be whole numbers, got {self.targets.dtype}")
        # one of the classes or, with several labels per sample, 0 and 1
        highest = len(self.class_names) - 1 if self.targets.ndim == 1 else 1
        if length and not (int(self.targets.min()) >= 0 and int(self.targets.max()) <= highest):
            raise DataError(f"targets must be in [0, {highest}]")
        if self.targets.ndim == 2 and self.targets.shape[1] != len(self.class_names):
            raise DataError(f"{self.targets.shape[1]} labels for {len(self.class_names)} names")

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def augments(self) -> bool:
        """Whether there is an augmentation; most pools have none."""
        return False

    @property
    def labels_fingerprint(self) -> str:
        """Hash of labels, names and columns."""
        names = [list(self.class_names), self.task_type.name]
        columns = [
            fingerprint([name, self.attributes[name].fingerprint])
            # in whatever order a source has added them
            for name in sorted(self.attributes)
        ]
        official = [] if self.official is None else [tensor_fingerprint(self.official)]
        return combine([fingerprint(names), tensor_fingerprint(self.targets), *columns, *official])

    @abstractmethod
    def fetch(self, index: Tensor, *, augment: Generator | None = None) -> Inputs:
        """Return the inputs of the ids ``index`` (B,), augmented if a generator is given."""

    def stream(
        self, batches: Sequence[Tensor], *, augment: Generator | None = None
    ) -> Iterator[Inputs]:
        """Fetch one batch after the other, when it is asked for."""
        for index in batches:
            yield self.fetch(index, augment=augment)
