"""The pool of samples that are used as they are: of any type, one tensor each or several."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Generator, Tensor

from erasure.core.fingerprint import combine, fingerprint, tensor_fingerprint
from erasure.data.pools.hashing import row_hashes
from erasure.data.pools.labelled import Labelled
from erasure.data.pools.sketches import tensor_sketch


@dataclass(frozen=True, kw_only=True)
class SamplePool(Labelled):
    """Samples as their owner made them; nothing is converted, scaled or augmented.

    Args:
        inputs: ``(N, ...)`` of any type, or several such tensors by name; a model then gets a
            mapping of batches.

    Raises:
        DataError: If lengths differ, or a label is not one of the classes.
    """

    inputs: Tensor | Mapping[str, Tensor]

    def __post_init__(self) -> None:
        for column in self._columns.values():
            self.check(len(column))

    @property
    def _columns(self) -> Mapping[str, Tensor]:
        return {"": self.inputs} if isinstance(self.inputs, Tensor) else self.inputs

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample; of several tensors, that of the first."""
        return tuple(next(iter(self._columns.values())).shape[1:])

    @cached_property
    def fingerprint(self) -> str:
        """Hash of inputs and labels."""
        columns = [[name, tensor_fingerprint(rows)] for name, rows in self._columns.items()]
        return combine([fingerprint(columns), self.labels_fingerprint])

    def fetch(
        self, index: Tensor, *, augment: Generator | None = None
    ) -> Tensor | dict[str, Tensor]:
        """Return the samples ``index`` (B,); there is no augmentation."""
        del augment
        if isinstance(self.inputs, Tensor):
            return self.inputs.index_select(0, index)
        return {name: rows.index_select(0, index) for name, rows in self.inputs.items()}

    def digests(self, index: Tensor) -> Tensor:
        """Return a 64-bit hash (B,) of each sample's bytes."""
        return self._hashes[index]

    @cached_property
    def _hashes(self) -> Tensor:
        # a hash of the hashes, so that the order of the tensors counts
        return row_hashes(torch.stack([row_hashes(c) for c in self._columns.values()], dim=1))

    def sketch(self, index: Tensor) -> Tensor:
        """Return the sample, or if it is an image a thumbnail of it, without its mean (B, D)."""
        sketches = [tensor_sketch(rows, index) for rows in self._columns.values()]
        return torch.cat(sketches, dim=1)
