"""The pool that holds every sample in one tensor on the device and gathers batches by index."""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Generator, Tensor

from erasure.core.fingerprint import combine, fingerprint, tensor_fingerprint
from erasure.data.pools.augment import Augmentation
from erasure.data.pools.hashing import row_hashes
from erasure.data.pools.labelled import Labelled
from erasure.data.pools.sketches import tensor_sketch


@dataclass(frozen=True, kw_only=True)
class TensorPool(Labelled):
    """Samples in one resident tensor.

    Args:
        inputs: ``(N, ...)``; integers are converted to float32 batch by batch.
        divisor: What inputs are divided by when they are fetched, for pixels kept as integers.
        mean: Subtracted from each channel after division.
        std: What each channel is divided by after that.
        augmentation: Applied to training batches, before all this.

    Raises:
        DataError: If lengths differ, or a label is not one of the classes.
    """

    inputs: Tensor
    divisor: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    augmentation: Augmentation | None = None

    def __post_init__(self) -> None:
        self.check(len(self.inputs))

    @property
    def augments(self) -> bool:
        """Whether there is an augmentation."""
        return self.augmentation is not None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(self.inputs.shape[1:])

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that training can see, augmentation included; not of the device."""
        return contents_fingerprint(self, tensor_fingerprint(self.inputs))

    def fetch(self, index: Tensor, *, augment: Generator | None = None) -> Tensor:
        """Return the samples ``index`` (B,) as float32 ``(B, ...)``."""
        # index_select copies, so that what presented does in place stays out of the pool
        return presented(self, self.inputs.index_select(0, index), augment)

    def digests(self, index: Tensor) -> Tensor:
        """Return a 64-bit hash (B,) of each sample's bytes."""
        return self._hashes[index]

    @cached_property
    def _hashes(self) -> Tensor:
        return torch.cat([row_hashes(rows) for rows in self.inputs.split(4096)])

    def sketch(self, index: Tensor) -> Tensor:
        """Return the sample, or if it is an image a thumbnail of it, without its mean (B, D)."""
        return tensor_sketch(self.inputs, index)


class Presentation(Protocol):
    """How a pool shows its samples to a model."""

    @property
    def divisor(self) -> float:
        """What they are divided by."""

    @property
    def mean(self) -> tuple[float, ...]:
        """Subtracted from each channel."""

    @property
    def std(self) -> tuple[float, ...]:
        """What each channel is divided by."""

    @property
    def augmentation(self) -> Augmentation | None:
        """Applied to training batches."""

    @property
    def labels_fingerprint(self) -> str:
        """Hash of labels, names and columns."""


def presented(how: Presentation, values: Tensor, augment: Generator | None) -> Tensor:
    """Return gathered samples ``(B, ...)`` as float32, augmented if a generator is given.

    The memory of ``values`` may be reused: new memory costs more than the arithmetic.
    """
    if augment is not None and how.augmentation is not None:
        values = how.augmentation(values, augment)
    values = values.float()  # torch divides integers one by one, floats many at once
    if how.divisor != 1.0:
        values = values.div_(how.divisor)
    return normalized(values, how.mean, how.std)


def contents_fingerprint(how: Presentation, inputs: str) -> str:
    """Return the hash of all that training can see, ``inputs`` being that of the samples."""
    augmentation = asdict(how.augmentation) if how.augmentation else None
    settings = [how.divisor, list(how.mean), list(how.std), augmentation]
    return combine([fingerprint(settings), inputs, how.labels_fingerprint])


def normalized(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Make it ``(images - mean) / std`` by channel, in place, where there is a ``mean``."""
    if not mean:
        return images
    shape = (1, -1, *[1] * (images.ndim - 2))
    # (x - mean) / std as x * scale + shift, which needs no memory for a difference
    scale = torch.tensor(std, device=images.device).reciprocal().reshape(shape)
    shift = (-torch.tensor(mean, device=images.device)).reshape(shape) * scale
    return images.mul_(scale).add_(shift)
