"""Pools that hold every sample on the device and gather batches by index."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property

import torch
from torch import Generator, Tensor

from erasure.core.fingerprint import combine, fingerprint, tensor_fingerprint
from erasure.core.kinds import Multiclass, TaskKind
from erasure.core.types import Inputs, Pool
from erasure.data.augment import CropFlip


@dataclass(frozen=True, kw_only=True)
class TensorPool:
    """Samples in one resident tensor.

    Args:
        inputs: ``(N, ...)``; integers are converted to float32 batch by batch.
        targets: Class of each sample, ``(N,)`` int64.
        class_names: One name per class.
        divisor: What inputs are divided by when they are fetched, for pixels kept as integers.
        augmentation: Applied to training batches.
        attributes: Further columns ``(N,)`` by name.
        task: What the labels mean.

    Raises:
        ValueError: If lengths differ, or a label is not one of the classes.
    """

    inputs: Tensor
    targets: Tensor
    class_names: tuple[str, ...]
    divisor: float = 1.0
    augmentation: CropFlip | None = None
    attributes: Mapping[str, Tensor] = field(default_factory=dict)
    task: TaskKind = field(default_factory=Multiclass)

    def __post_init__(self) -> None:
        columns = {"targets": self.targets, **self.attributes}
        for name, column in columns.items():
            if len(column) != len(self.inputs):
                raise ValueError(f"{name} has {len(column)} rows for {len(self.inputs)} inputs")
        if len(self.targets) and not (
            int(self.targets.min()) >= 0 and int(self.targets.max()) < len(self.class_names)
        ):
            raise ValueError(f"targets must be in [0, {len(self.class_names) - 1}]")

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

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
        tensors = (
            self.inputs,
            self.targets,
            *(self.attributes[k] for k in sorted(self.attributes)),
        )
        augmentation = asdict(self.augmentation) if self.augmentation else None
        names = [list(self.class_names), sorted(self.attributes), self.task.name]
        settings = [names, self.divisor, augmentation]
        return combine([fingerprint(settings), tensor_fingerprint(*tensors)])

    def fetch(self, index: Tensor, *, augment: Generator | None = None) -> Tensor:
        """Return the samples ``index`` (B,) as float32 ``(B, ...)``."""
        found = self.inputs.index_select(0, index)
        if augment is not None and self.augmentation is not None:
            found = self.augmentation(found, augment)
        if self.divisor == 1.0:
            return found.float()
        return found / self.divisor  # one pass: dividing integers gives float32

    def digests(self, index: Tensor) -> Tensor:
        """Return a 64-bit hash (B,) of each sample's bytes: a dot product modulo 2**64."""
        if len(index) == 0:
            return index
        width = self.inputs[0].numel() * self.inputs.element_size()
        generator = Generator().manual_seed(0x5EED)
        weights = torch.randint(-(2**62), 2**62, (width,), generator=generator).to(index.device)
        hashed = []
        for ids in index.split(4096):  # eight bytes of workspace per byte of input
            rows = self.inputs.index_select(0, ids).reshape(len(ids), -1).view(torch.uint8)
            hashed.append(((rows.long() + 1) * weights).sum(dim=1))
        return torch.cat(hashed)


@dataclass(frozen=True)
class AuditedPool:
    """A pool that counts how often each of its samples is fetched.

    What a method read is thereby measured instead of declared, whatever loop it uses.

    Args:
        pool: The pool looked through.
        reads: Number of fetches of each sample, ``(N,)`` int64, counted in place.
    """

    pool: Pool
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
        self.reads.index_add_(0, index, torch.ones_like(index))
        return self.pool.fetch(index, augment=augment)

    def digests(self, index: Tensor) -> Tensor:
        """Pass on; a hash reveals equality only and is not counted."""
        return self.pool.digests(index)

    @property
    def targets(self) -> Tensor:
        """Labels of the pool."""
        return self.pool.targets

    @property
    def task(self) -> TaskKind:
        """Task of the pool."""
        return self.pool.task

    @property
    def num_classes(self) -> int:
        """Number of classes of the pool."""
        return self.pool.num_classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names of the pool."""
        return self.pool.class_names

    @property
    def attributes(self) -> Mapping[str, Tensor]:
        """Attributes of the pool."""
        return self.pool.attributes

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
