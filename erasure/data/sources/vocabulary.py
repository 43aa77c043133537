"""Texts to token ids, all at once: by words of our own, or by a pretrained tokenizer."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, DataError
from erasure.data.pools.rows import files_stamp
from erasure.data.sources.fetching import fetching

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
"""The first tokens of our own vocabulary, by id."""

MOST_WORDS = 30_000
"""Size of our own vocabulary unless the configuration says otherwise."""

WORDS = "words"
"""The name of our own tokenizer."""

CHUNK = 4096
"""Texts that a pretrained tokenizer gets at once."""


@dataclass(frozen=True)
class Tokens:
    """N texts as token ids.

    Args:
        flat: All ids ``(T,)`` int32, text after text.
        offsets: Where each text starts, and where the last one ends, ``(N + 1,)`` int64.
        vocab_size: Number of different ids there may be.
        pad_id: Id of padding.
        words: Our own vocabulary by id; empty if the tokenizer is not ours.
    """

    flat: Tensor
    offsets: Tensor
    vocab_size: int
    pad_id: int
    words: tuple[str, ...] = ()


def word_tokens(
    texts: Sequence[str], counted: NDArray[np.bool_], *, size: int = MOST_WORDS, max_length: int
) -> Tokens:
    """Tokenize by words, with a vocabulary of the most frequent ones.

    Texts are put into Unicode form NFKC and lower case; a punctuation mark or symbol is a word of
    its own. A text becomes ``[CLS] words [SEP]``, cut at ``max_length`` tokens; a word outside of
    the vocabulary becomes ``[UNK]``. Ids follow from the counts: more frequent words have smaller
    ones, equally frequent words come in the order of their code points.

    Args:
        texts: The texts, N of them.
        counted: Which of them the vocabulary is made of, ``(N,)``. It must not depend on the
            split, or ids would.
        size: Largest number of ids, the four special ones included.
        max_length: Largest number of tokens in a text.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    lists = _words(texts)
    starts = lists.offsets.to_numpy().astype(np.int64)
    coded = lists.values.dictionary_encode()
    # (T,): a number for each word of each text, by first occurrence
    codes = coded.indices.to_numpy().astype(np.int64)
    owner = np.repeat(np.arange(len(texts)), np.diff(starts))
    # owner is the text of each word, (T,)
    counts = np.bincount(codes[counted[owner]], minlength=len(coded.dictionary))
    table = pa.table({"word": coded.dictionary, "count": counts})
    order = pc.sort_indices(table, [("count", "descending"), ("word", "ascending")]).to_numpy()
    # a word of held-out texts alone has no count, and stays unknown
    kept = order[counts[order] > 0][: size - len(SPECIAL)]
    ids = np.full(len(counts), SPECIAL.index("[UNK]"), dtype=np.int64)
    ids[kept] = np.arange(len(kept)) + len(SPECIAL)
    position = np.arange(len(codes)) - starts[owner]
    # two tokens are left for [CLS] and [SEP]
    inside = position < max_length - 2
    flat, offsets = _framed(ids[codes[inside]], owner[inside], len(texts))
    words = (*SPECIAL, *table["word"].take(kept).to_pylist())
    return Tokens(flat, offsets, len(words), SPECIAL.index("[PAD]"), words)


def pretrained_tokens(
    texts: Sequence[str],
    data_config: DataConfig,
    name: str,
    *,
    revision: str | None,
    max_length: int,
) -> Tokens:
    """Tokenize as a published model does, special tokens included, cut at ``max_length``.

    Args:
        texts: The texts.
        data_config: Folders below its ``root / "hf-models"`` come before the hub.
        name: Hub id, or a folder.
        revision: Commit or tag of the hub; not for folders.
        max_length: Largest number of tokens in a text.

    Raises:
        ConfigError: If transformers is not installed.
        DataError: If the tokenizer cannot be loaded or cannot do without padding.
    """
    tokenizer = _tokenizer(data_config, name, revision)
    pad = tokenizer.pad_token_id
    pad = tokenizer.eos_token_id if pad is None else pad  # the mask hides it either way
    if pad is None:
        raise DataError(f"tokenizer {name} has no padding token and no end of text to pad with")
    parts: list[NDArray[np.int32]] = []
    lengths: list[int] = []
    for start in range(0, len(texts), CHUNK):
        some = list(texts[start : start + CHUNK])
        token_ids = tokenizer(some, truncation=True, max_length=max_length)["input_ids"]
        lengths += [len(ids) for ids in token_ids]
        parts.append(np.concatenate([np.asarray(ids, dtype=np.int32) for ids in token_ids]))
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    flat = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)
    return Tokens(torch.from_numpy(flat), torch.from_numpy(offsets), len(tokenizer), int(pad))


def tokenizer_stamp(data_config: DataConfig, name: str) -> str:
    """Return a hash of names, sizes and times of a tokenizer's files; empty for the hub."""
    folder = _local(data_config, name)
    paths = sorted(folder.rglob("*")) if folder is not None else []
    return files_stamp([file for file in paths if file.is_file()], {}) if paths else ""


def _words(texts: Sequence[str]) -> Any:
    """Return the words of each text as an Arrow list array."""
    import pyarrow as pa
    import pyarrow.compute as pc

    # Arrow's own normalization leaves accents decomposed, also where NFKC asks to compose them.
    composed = [unicodedata.normalize("NFKC", text) for text in texts]
    plain = pc.utf8_lower(pa.array(composed, pa.large_string()))
    apart = pc.replace_substring_regex(plain, pattern=r"([\p{P}\p{S}])", replacement=r" \1 ")
    # otherwise a text would begin and end with an empty word
    trimmed = pc.utf8_trim_whitespace(apart)
    lists = pc.utf8_split_whitespace(trimmed)
    # Splitting an empty text gives one empty word.
    lengths = np.where(pc.equal(trimmed, ""), 0, pc.list_value_length(lists))
    values = lists.values.filter(pc.not_equal(lists.values, ""))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _framed(ids: NDArray[np.int64], owner: NDArray[np.int64], count: int) -> tuple[Tensor, Tensor]:
    """Put ``[CLS]`` before and ``[SEP]`` behind the ids of each of ``count`` texts."""
    lengths = np.bincount(owner, minlength=count) + 2
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    flat = np.empty(int(offsets[-1]), dtype=np.int32)
    # where neither of the two tokens is: there the ids go, in their order
    body = np.ones(len(flat), dtype=bool)
    for token, positions in (("[CLS]", offsets[:-1]), ("[SEP]", offsets[1:] - 1)):
        flat[positions] = SPECIAL.index(token)
        body[positions] = False
    flat[body] = ids
    return torch.from_numpy(flat), torch.from_numpy(offsets)


def _tokenizer(data_config: DataConfig, name: str, revision: str | None) -> Any:
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise ConfigError(
            f"tokenizer must be {WORDS} unless transformers is installed, got {name!r}; "
            f'pip install "erasure-unlearning[text]"'
        ) from error

    folder, local = data_config.root / "hf-models", _local(data_config, name)
    by_hand = f"the folder {name} with tokenizer.json and config.json"
    with fetching("tokenizer", name, folder, f"{by_hand}, or use tokenizer={WORDS}"):
        return AutoTokenizer.from_pretrained(
            name if local is None else str(local),
            revision=revision or "main",
            cache_dir=str(folder),
            local_files_only=local is not None or not data_config.download,
        )


def _local(data_config: DataConfig, name: str) -> Path | None:
    folders = (data_config.root / "hf-models" / name, Path(name))
    return next((folder for folder in folders if folder.is_dir()), None)
