"""Samples that lie on disk, read row by row and ahead of whoever needs them."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from erasure.core.errors import DataError
from erasure.core.fingerprint import combine, fingerprint
from erasure.core.source import source_hash

CHUNK_BYTES = 2**22
"""Bytes that a pass over all samples holds at once; hashing them takes some twenty times that."""


class Rows(Protocol):
    """N samples in the form in which a resident pool would hold them, read on demand."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all samples, ``(N, ...)``."""

    @property
    def dtype(self) -> torch.dtype:
        """Type of the values."""

    @property
    def version(self) -> str:
        """Hash that changes whenever the samples may have; empty if that cannot be told."""

    @property
    def grain(self) -> int:
        """How many samples are worth a thread of their own."""

    def read(self, index: Tensor, out: Tensor) -> None:
        """Read the samples ``index`` (B,) into ``out`` ``(B, ...)``; called by several threads."""

    def whole(self) -> Tensor:
        """Return all samples ``(N, ...)`` in memory."""


@dataclass(frozen=True)
class TensorRows:
    """Rows of a tensor in main memory or, as :func:`prepared` returns it, mapped from a file.

    Args:
        tensor: ``(N, ...)`` on the CPU.
        version: Hash of all that its contents depend on, such as ``Prepared.key``; without one,
            what a pass over all samples finds is not kept for other processes.
    """

    tensor: Tensor
    version: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all samples."""
        return tuple(self.tensor.shape)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the values."""
        return self.tensor.dtype

    @property
    def grain(self) -> int:
        """A megabyte; copying less takes no longer than starting to."""
        return max(1, 2**20 // max(row_bytes(self), 1))

    def read(self, index: Tensor, out: Tensor) -> None:
        """Gather rows."""
        torch.index_select(self.tensor, 0, index, out=out)

    def whole(self) -> Tensor:
        """Return the tensor."""
        return self.tensor


@dataclass(frozen=True, kw_only=True)
class DecodedRows:
    """Samples that have to be decoded, such as compressed images.

    Args:
        items: What identifies each sample to ``decode``, usually its file.
        decode: Returns the sample of an item as a CPU tensor; called by several threads at once.
        sample: Shape that every decoded sample has.
        dtype: Type of its values.
        stamp: Hash of all that the samples depend on besides the code of ``decode``, such as
            :func:`files_stamp`; without one, what a pass over all samples finds is not kept for
            other processes.
    """

    items: Sequence[Any]
    decode: Callable[[Any], Tensor]
    sample: tuple[int, ...]
    dtype: torch.dtype = torch.uint8
    stamp: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all samples."""
        return (len(self.items), *self.sample)

    @property
    def version(self) -> str:
        """Hash of the stamp, the form of samples, and the code behind ``decode``."""
        if not self.stamp:
            return ""
        form = [list(self.sample), str(self.dtype)]
        return combine([self.stamp, fingerprint(form), source_hash(self.decode)])

    @property
    def grain(self) -> int:
        """A few; one sample takes about a millisecond."""
        return 4

    def read(self, index: Tensor, out: Tensor) -> None:
        """Decode one sample after the other.

        Raises:
            DataError: Naming the item that cannot be decoded, or has another shape or type.
        """
        for position, number in enumerate(index.tolist()):
            out[position] = self._decoded(number)

    def whole(self) -> Tensor:
        """Decode everything."""
        every = torch.empty(self.shape, dtype=self.dtype)
        for ids, samples in passage(self):
            every[ids] = samples
        return every

    def _decoded(self, number: int) -> Tensor:
        item = self.items[number]
        name = str(item) if isinstance(item, str | Path) else f"sample {number}"
        try:
            sample = self.decode(item)
        except Exception as error:  # whatever a decoder raises: what is wrong is this item
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
            raise DataError(f"{name} cannot be decoded: {reason}") from error
        if tuple(sample.shape) != self.sample or sample.dtype != self.dtype:
            raise DataError(
                f"{name} has shape {tuple(sample.shape)} and type {sample.dtype}, the others have "
                f"{self.sample} and {self.dtype}"
            )
        return sample


def files_stamp(files: Sequence[Path], settings: Mapping[str, Any]) -> str:
    """Return a hash of names, sizes and times of ``files`` and of plain JSON ``settings``.

    Args:
        files: Files that exist.
        settings: What decoding depends on besides them: a size, a crop.
    """
    stats = [file.stat() for file in files]
    properties = [
        [str(file), stat.st_size, stat.st_mtime_ns]
        for file, stat in zip(files, stats, strict=True)
    ]
    return fingerprint({"files": properties, "settings": dict(settings)})


def row_bytes(rows: Rows) -> int:
    """Return how many bytes a sample takes in memory."""
    return math.prod(rows.shape[1:]) * rows.dtype.itemsize


def passage(rows: Rows) -> Iterator[tuple[Tensor, Tensor]]:
    """Visit all samples in order, a few megabytes of ids (B,) and samples ``(B, ...)`` at once."""
    size = max(1, CHUNK_BYTES // max(row_bytes(rows), 1))
    chunks = torch.arange(rows.shape[0]).split(size)
    yield from zip(chunks, read_ahead(rows, chunks), strict=True)


def read_ahead(
    rows: Rows,
    batches: Sequence[Tensor],
    *,
    workers: int = 4,
    ahead: int = 3,
    pinned: bool = False,
) -> Iterator[Tensor]:
    """Read one batch after the other while threads read those that come next.

    The threads end with the iterator: when it is exhausted, closed or dropped, or when reading
    fails.

    Args:
        rows: What to read; its exceptions reach the reader at the batch they belong to.
        batches: Ids ``(B,)`` of each batch, on any device.
        workers: Number of threads.
        ahead: Number of batches in memory that the reader has not taken yet.
        pinned: Read into page-locked memory, from where a GPU copies without waiting.
    """
    if not batches:
        return
    sizes = [len(index) for index in batches]
    every = torch.cat(list(batches)).cpu()  # one transfer: one per batch would wait for the GPU
    rest = iter(every.split(sizes))
    executor = ThreadPoolExecutor(workers, thread_name_prefix="erasure-rows")

    def begin(index: Tensor) -> tuple[Tensor, list[Future[None]]]:
        pieces = max(1, min(workers, len(index) // rows.grain))
        with torch.inference_mode(mode=False):  # which other threads could not write into
            out = torch.empty((len(index), *rows.shape[1:]), dtype=rows.dtype, pin_memory=pinned)
            # pieces of out are views: each thread fills its rows of the one batch
            parts = zip(index.tensor_split(pieces), out.tensor_split(pieces), strict=True)
        return out, [executor.submit(rows.read, *part) for part in parts]

    try:
        waiting = deque(begin(index) for index in islice(rest, ahead))
        while waiting:
            out, parts = waiting.popleft()
            for part in parts:
                part.result()
            yield out
            # only when the reader is back for more: at most ahead batches wait in memory
            waiting.extend(begin(index) for index in islice(rest, 1))
    finally:
        # runs as well when the generator is closed or collected: threads do not outlive it
        executor.shutdown(wait=True, cancel_futures=True)
