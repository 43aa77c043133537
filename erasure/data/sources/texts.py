"""What all data sets of texts share: how texts become token ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError
from erasure.data.frames.table import require_resident
from erasure.data.pools.labelled import TRAIN
from erasure.data.pools.tokens import TokenPool
from erasure.data.sources.packing import unpack
from erasure.data.sources.prepared import Prepared
from erasure.data.sources.vocabulary import (
    MOST_WORDS,
    SPECIAL,
    WORDS,
    Tokens,
    pretrained_tokens,
    tokenizer_stamp,
    word_tokens,
)


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """What all data sets of texts can be asked for.

    Args:
        tokenizer: ``words``, which makes a vocabulary of the texts; or the hub id or folder of a
            pretrained tokenizer, for which transformers must be installed.
        tokenizer_revision: Commit or tag of a tokenizer of the hub; null means ``main``.
        vocabulary: Largest number of ids, only with ``words``; null means 30,000. The vocabulary
            is made of the official training part, or of all texts where there are no official
            parts, so that ids do not depend on the split: neither on what is held out by it nor
            on what is forgotten.
        max_length: Longer texts are cut to this number of tokens.

    Raises:
        ConfigError: If a setting makes no sense.
    """

    tokenizer: str = WORDS
    tokenizer_revision: str | None = None
    vocabulary: int | None = None
    max_length: int = 256

    def __post_init__(self) -> None:
        if not self.tokenizer:
            raise ConfigError(f"tokenizer must be {WORDS}, a hub id or a folder, got nothing")
        # [CLS], a word and [SEP]
        if self.max_length < 3:
            raise ConfigError(f"max_length must be >= 3, got {self.max_length}")
        from_texts = self.tokenizer == WORDS
        if from_texts and self.tokenizer_revision is not None:
            raise ConfigError(
                f"tokenizer_revision must be null with tokenizer={WORDS}, "
                f"got {self.tokenizer_revision!r}"
            )
        if not from_texts and self.vocabulary is not None:
            raise ConfigError(
                f"vocabulary must be null unless tokenizer={WORDS}, because a pretrained "
                f"tokenizer has its own, got {self.vocabulary}"
            )
        if self.vocabulary is not None and self.vocabulary <= len(SPECIAL):
            raise ConfigError(
                f"vocabulary must be > {len(SPECIAL)}, the number of special tokens, "
                f"got {self.vocabulary}"
            )

    def tokenized(
        self, data_config: DataConfig, texts: Sequence[str], official: Tensor | None
    ) -> Tokens:
        """Return the tokens of ``texts``, N of them.

        Args:
            data_config: Where pretrained tokenizers are.
            texts: The texts.
            official: Part of each ``(N,)`` in the split of the authors.
        """
        if self.tokenizer != WORDS:
            return pretrained_tokens(
                texts,
                data_config,
                self.tokenizer,
                revision=self.tokenizer_revision,
                max_length=self.max_length,
            )
        counted = np.ones(len(texts), dtype=bool)
        if official is not None:
            counted = (official == TRAIN).numpy()
        size = MOST_WORDS if self.vocabulary is None else self.vocabulary
        return word_tokens(texts, counted, size=size, max_length=self.max_length)

    def tokenizer_files(self, data_config: DataConfig) -> str:
        """Return a hash of the files of a tokenizer that is on disk; empty for others."""
        return "" if self.tokenizer == WORDS else tokenizer_stamp(data_config, self.tokenizer)

    def token_pool(self, data_config: DataConfig, entry: Prepared) -> TokenPool:
        """Return the pool of prepared texts, on the device of ``data_config``.

        Models are also told which tokenizer it was, and where pretrained models are.

        Raises:
            DataError: If the tokens do not fit into memory.
        """
        require_resident(data_config, entry.tensors, "the data set")
        tokenizer: dict[str, Any] = {"tokenizer": self.tokenizer, "download": data_config.download}
        return TokenPool(
            **unpack(entry, data_config),
            flat=entry.tensors["flat"].to(data_config.device),
            offsets=entry.tensors["offsets"].to(data_config.device),
            vocab_size=entry.properties["vocab_size"],
            pad_id=entry.properties["pad_id"],
            max_length=self.max_length,
            properties={**tokenizer, "models_folder": str(data_config.root / "hf-models")},
        )


def token_parts(tokens: Tokens) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return tokens as tensors and properties, to be prepared."""
    properties = {"vocab_size": tokens.vocab_size, "pad_id": tokens.pad_id}
    return {"flat": tokens.flat, "offsets": tokens.offsets}, properties
