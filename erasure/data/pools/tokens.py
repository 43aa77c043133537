"""The pool of texts: token ids of any length, padded batch by batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Generator, Tensor

from erasure.core.errors import DataError
from erasure.core.fingerprint import combine, fingerprint, tensor_fingerprint
from erasure.data.pools.hashing import row_hashes
from erasure.data.pools.labelled import Labelled

SKETCH_WIDTH = 256
"""Buckets into which the tokens of a sketch are hashed."""

CHUNK = 2048
"""Texts that are looked at together when all of them are."""


@dataclass(frozen=True, kw_only=True)
class TokenPool(Labelled):
    """N texts as token ids, one after the other in one resident tensor.

    A batch is as wide as its longest text. Models are told ``vocab_size``, ``pad_id``,
    ``max_length`` and ``modality``, which are added to ``properties``.

    Args:
        flat: All ids, ``(T,)`` int32.
        offsets: Where each text starts and, last, where the last one ends, ``(N + 1,)`` int64.
        vocab_size: Ids are below it.
        pad_id: Id that fills up a batch.
        max_length: No text has more tokens.

    Raises:
        DataError: If a text is empty or too long, an id is out of range, or lengths differ.
    """

    flat: Tensor
    offsets: Tensor
    vocab_size: int
    pad_id: int
    max_length: int

    def __post_init__(self) -> None:
        self.check(len(self.offsets) - 1)
        lengths = self._lengths
        if int(self.offsets[0]) != 0 or int(self.offsets[-1]) != len(self.flat):
            raise DataError(f"offsets must go from 0 to {len(self.flat)}, the number of tokens")
        if len(lengths) and not 1 <= int(lengths.min()) <= int(lengths.max()) <= self.max_length:
            raise DataError(f"texts must have 1 to {self.max_length} tokens")
        bounds = (
            [int(bound) for bound in (self.flat.min(), self.flat.max())] if len(self.flat) else []
        )
        if not all(0 <= bound < self.vocab_size for bound in [*bounds, self.pad_id]):
            raise DataError(f"token ids must be in [0, {self.vocab_size - 1}]")
        properties = {"vocab_size": self.vocab_size, "pad_id": self.pad_id}
        properties |= {"max_length": self.max_length}
        object.__setattr__(
            self, "properties", {**self.properties, **properties, "modality": "text"}
        )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The largest number of tokens."""
        return (self.max_length,)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of ids, of what models are told about them, and of the labels."""
        settings = [self.vocab_size, self.pad_id, self.max_length]
        texts = tensor_fingerprint(self.flat, self.offsets)
        return combine([fingerprint(settings), texts, self.labels_fingerprint])

    def fetch(self, index: Tensor, *, augment: Generator | None = None) -> dict[str, Tensor]:
        """Return ``input_ids`` and ``attention_mask``, ``(B, L)`` int64, 0 where padded."""
        del augment  # texts have none
        width = int(self._lengths[index].max()) if len(index) else 0
        return self._padded(index, width)

    def stream(
        self, batches: Sequence[Tensor], *, augment: Generator | None = None
    ) -> Iterator[dict[str, Tensor]]:
        """Fetch one batch after the other; a GPU is waited for once, not once a batch."""
        del augment
        if not batches:
            return
        longest = torch.stack([self._lengths[index].amax() for index in batches])
        for index, width in zip(batches, longest.tolist(), strict=True):
            yield self._padded(index, width)

    def digests(self, index: Tensor) -> Tensor:
        """Return a 64-bit hash (B,) of each text's tokens."""
        return self._hashes[index]

    def sketch(self, index: Tensor) -> Tensor:
        """Return each text as a hashed bag of tokens, ``(B, 256)`` float32.

        A token counts with the logarithm of the share of texts that it is in (tf-idf), so that
        those that are in all texts, such as the first and the last, make no texts alike. The
        order of tokens is ignored.
        """
        # any fixed seed: a token has the same bucket and sign in every process
        generator = Generator().manual_seed(SKETCH_WIDTH)
        buckets = torch.randint(SKETCH_WIDTH, (self.vocab_size,), generator=generator)
        signs = torch.randint(2, (self.vocab_size,), generator=generator) * 2.0 - 1.0
        weights = (signs * self._rarity.cpu()).to(self.flat.device)
        buckets = buckets.to(self.flat.device)
        sketches = self.flat.new_zeros((len(index), SKETCH_WIDTH), dtype=torch.float32)
        for rows, ids in zip(sketches.split(CHUNK), index.split(CHUNK), strict=True):
            padded = self.fetch(ids)
            tokens = padded["input_ids"]
            # rows is a view of sketches; the mask keeps padding from counting as a token
            rows.scatter_add_(1, buckets[tokens], weights[tokens] * padded["attention_mask"])
        return sketches

    @property
    def _lengths(self) -> Tensor:
        return self.offsets.diff()

    def _padded(self, index: Tensor, width: int) -> dict[str, Tensor]:
        start = self.offsets[index][:, None]
        steps = torch.arange(width, device=self.flat.device)
        mask = steps < self.offsets[index + 1][:, None] - start
        # behind the last text there is nothing to read; what is read there is masked
        ids = self.flat[(start + steps).clamp_(max=max(len(self.flat) - 1, 0))].long()
        return {"input_ids": ids.where(mask, self.pad_id), "attention_mask": mask.long()}

    @cached_property
    def _hashes(self) -> Tensor:
        every = torch.arange(len(self.targets), device=self.flat.device)
        chunks = []
        for ids in every.split(CHUNK):
            padded = self._padded(ids, self.max_length)
            # No token is -1, so that a text is not taken for a longer one that ends in padding.
            marked = padded["input_ids"].where(padded["attention_mask"].bool(), -1)
            chunks.append(row_hashes(marked.int()))
        return torch.cat(chunks) if chunks else every

    @cached_property
    def _rarity(self) -> Tensor:
        """Logarithm of the number of texts over that of texts with a token, by token."""
        count = len(self.targets)
        rows = torch.repeat_interleave(torch.arange(count), self._lengths.cpu())
        # text and token packed into one number; unique counts a token once per text
        pairs = (rows * self.vocab_size + self.flat.cpu()).unique()
        texts = torch.bincount(pairs % self.vocab_size, minlength=self.vocab_size)
        # clamped for ids that no text has, which are never looked up but must not be infinite
        return (count / texts.clamp(min=1)).log()
