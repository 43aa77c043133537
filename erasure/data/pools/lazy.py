"""The pool whose samples stay on disk and are read while the reader computes."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import torch
from torch import Generator, Tensor

from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, DataError
from erasure.core.fingerprint import tensor_fingerprint
from erasure.data.pools.augment import Augmentation
from erasure.data.pools.hashing import row_hashes
from erasure.data.pools.labelled import Labelled
from erasure.data.pools.rows import Rows, passage, read_ahead
from erasure.data.pools.sketches import is_sketched_small, tensor_sketch
from erasure.data.pools.tensor import TensorPool, contents_fingerprint, presented
from erasure.data.sources.prepared import Prepared, prepared


@dataclass(frozen=True, kw_only=True)
class LazyPool(Labelled):
    """Samples that are read when they are needed, and a few batches before.

    It gives the same bits as a :class:`TensorPool` of the same samples: the same batches, the
    same draws of the augmentation, the same hashes and, unless ``hashes`` are given, the same
    fingerprint. Labels live on the device; samples are sent there batch by batch.

    What needs all samples (the fingerprint, hashes, thumbnails) is found in one pass over the
    data. It is kept below ``data_config.prepared`` where the version of ``rows`` is known,
    otherwise in memory.

    Args:
        rows: Where the samples are.
        data_config: The device, and where to keep what a pass over all samples finds.
        divisor: What inputs are divided by when they are fetched, for pixels kept as integers.
        mean: Subtracted from each channel after division.
        std: What each channel is divided by after that.
        augmentation: Applied to training batches, on the device, before all this.
        hashes: Content hash of each sample (N,) int64 where they are known, such as those of
            compressed files; the fingerprint is then made of them, without reading the samples.
        workers: Threads that read.
        ahead: Batches that may be in memory before they are asked for.

    Raises:
        DataError: If lengths differ, or a label is not one of the classes.
        ConfigError: If there is no worker or nothing may be read ahead.
    """

    rows: Rows
    data_config: DataConfig = field(default_factory=DataConfig)
    divisor: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    augmentation: Augmentation | None = None
    hashes: Tensor | None = None
    workers: int = 4
    ahead: int = 3

    def __post_init__(self) -> None:
        self.check(self.rows.shape[0])
        if self.hashes is not None and self.hashes.shape != self.rows.shape[:1]:
            raise DataError(f"hashes has {len(self.hashes)} rows for {self.rows.shape[0]} inputs")
        for name in ("workers", "ahead"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")
        object.__setattr__(self, "targets", self.targets.to(self.data_config.device))

    def placed(self) -> "TensorPool | LazyPool":
        """Return a resident pool of the same samples if they fit, otherwise this one."""
        if not self.data_config.fits(prod(self.rows.shape) * self.rows.dtype.itemsize):
            return self
        return TensorPool(
            inputs=self.rows.whole().to(self.data_config.device),
            targets=self.targets,
            class_names=self.class_names,
            attributes=self.attributes,
            official=self.official,
            task_type=self.task_type,
            properties=self.properties,
            divisor=self.divisor,
            mean=self.mean,
            std=self.std,
            augmentation=self.augmentation,
        )

    @property
    def augments(self) -> bool:
        """Whether there is an augmentation."""
        return self.augmentation is not None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.rows.shape[1:]

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that training can see; not of how or where the samples are kept."""
        hashes = self.hashes
        contents = self._survey.contents if hashes is None else tensor_fingerprint(hashes)
        return contents_fingerprint(self, contents)

    def fetch(self, index: Tensor, *, augment: Generator | None = None) -> Tensor:
        """Return the samples ``index`` (B,) as float32 ``(B, ...)``."""
        # through the same code as a pass, so that both give the same bits
        (inputs,) = self.stream([index], augment=augment)
        return inputs

    def stream(
        self, batches: Sequence[Tensor], *, augment: Generator | None = None
    ) -> Iterator[Tensor]:
        """Fetch one batch after the other while the next ones are read.

        The augmentation draws when the reader asks, as it would without reading ahead.
        """
        device = self.data_config.device
        row_batches = read_ahead(
            self.rows,
            batches,
            workers=self.workers,
            ahead=self.ahead,
            pinned=device.type == "cuda",
        )
        for rows in row_batches:
            yield presented(self, rows.to(device, non_blocking=True), augment)

    def digests(self, index: Tensor) -> Tensor:
        """Return a content hash (B,) of each sample: of its bytes, unless hashes were given."""
        return self._hashes[index]

    def sketch(self, index: Tensor) -> Tensor:
        """Return the sample, or if it is an image a thumbnail of it, without its mean (B, D)."""
        if self._survey.sketches is not None:
            return self._survey.sketches[index.cpu()].to(self.data_config.device)
        chunks = read_ahead(self.rows, index.split(4096), workers=self.workers, ahead=self.ahead)
        sketches = [tensor_sketch(chunk, torch.arange(len(chunk))) for chunk in chunks]
        return torch.cat(sketches).to(self.data_config.device)

    @cached_property
    def _hashes(self) -> Tensor:
        hashes = self._survey.hashes if self.hashes is None else self.hashes
        return hashes.to(self.data_config.device)

    @cached_property
    def _survey(self) -> "_Survey":
        rows = self.rows

        def make() -> Prepared:
            return _surveyed(rows)

        if not rows.version:
            return _Survey.of(make())
        settings = {"rows": rows.version, "shape": list(rows.shape), "dtype": str(rows.dtype)}
        return _Survey.of(prepared(self.data_config, "survey", settings, make))


@dataclass(frozen=True)
class _Survey:
    """What one pass over all samples finds: hashes (N,), thumbnails (N, D), a fingerprint."""

    hashes: Tensor
    sketches: Tensor | None
    contents: str

    @classmethod
    def of(cls, entry: Prepared) -> "_Survey":
        sketches = entry.tensors.get("sketches")
        return cls(entry.tensors["hashes"], sketches, entry.properties["contents"])


def _surveyed(rows: Rows) -> Prepared:
    """Read every sample once; thumbnails only where they are smaller than the samples."""
    digest = hashlib.blake2b(digest_size=16)  # of the same bytes as tensor_fingerprint
    digest.update(f"{rows.dtype}{rows.shape}".encode())
    small = is_sketched_small(rows.shape[1:])
    hashes, sketches = [], []
    for ids, samples in passage(rows):
        # .data is a view of the memory, where tobytes would copy it
        digest.update(samples.reshape(-1).view(torch.uint8).numpy().data)
        hashes.append(row_hashes(samples))
        if small:
            # ids of a chunk follow one another, so this is their row in it
            sketches.append(tensor_sketch(samples, ids - ids[:1]))
    tensors = {"hashes": torch.cat(hashes) if hashes else torch.zeros(0, dtype=torch.int64)}
    if sketches:
        tensors["sketches"] = torch.cat(sketches)
    return Prepared(tensors, {"contents": digest.hexdigest()})
