"""Our own tokenizer, against a slow one written out and texts tokenized by hand."""

import re
import unicodedata
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError
from erasure.data.sources.synthetic_text import SyntheticText
from erasure.data.sources.texts import TextSettings
from erasure.data.sources.vocabulary import SPECIAL, word_tokens

EVERY = torch.arange(2000)


def tokens_of(texts, known=None, **settings):
    known = np.ones(len(texts), dtype=bool) if known is None else np.array(known)
    return word_tokens(texts, known, **{"max_length": 64, **settings})


def ids(actual):
    return [part.tolist() for part in actual.flat.tensor_split(actual.offsets[1:-1])]


def test_ids_follow_from_counts_and_then_from_the_alphabet():
    tokens = tokens_of(["b a b", "c b, A!", ""])
    assert tokens.words == (*SPECIAL, "b", "a", "!", ",", "c")
    assert ids(tokens) == [[2, 4, 5, 4, 3], [2, 8, 4, 7, 5, 6, 3], [2, 3]]
    assert (tokens.vocab_size, tokens.pad_id) == (9, 0)


def test_words_are_normalized_lower_case_and_parted_from_marks():
    decomposed = "e\N{COMBINING ACUTE ACCENT}"
    tokens = tokens_of(
        [f"CAF\N{LATIN CAPITAL LETTER E WITH ACUTE} caf{decomposed} don't—5€\u00a0x"]
    )
    assert set(tokens.words[4:]) == {"caf\u00e9", "don", "'", "t", "—", "5", "€", "x"}


def test_long_texts_are_cut_and_rare_words_are_unknown():
    assert ids(tokens_of(["a b c d e f"], max_length=4)) == [[2, 4, 5, 3]]
    tokens = tokens_of(["a a a b b c"], size=6)
    assert tokens.words == (*SPECIAL, "a", "b")
    assert ids(tokens) == [[2, 4, 4, 4, 5, 5, 1, 3]]


def test_the_vocabulary_is_made_of_the_texts_it_is_told_to():
    tokens = tokens_of(["a b", "c c c", "a c"], known=[True, False, False])
    assert tokens.words == (*SPECIAL, "a", "b")
    assert ids(tokens)[1:] == [[2, 1, 1, 1, 3], [2, 4, 1, 3]]


def slow(texts, size, max_length):
    def words(text):
        marked = "".join(
            f" {sign} " if unicodedata.category(sign)[0] in "PS" else sign
            for sign in unicodedata.normalize("NFKC", text).lower()
        )
        return re.sub(r"\s+", " ", marked).strip().split(" ") if marked.strip() else []

    lists = [words(text) for text in texts]
    counts = Counter(word for text in lists for word in text)
    order = sorted(counts, key=lambda word: (-counts[word], word))[: size - 4]
    id_of = {word: rank + 4 for rank, word in enumerate(order)}
    ids = [[id_of.get(word, 1) for word in text] for text in lists]
    return [[2, *row[: max_length - 2], 3] for row in ids]


ALPHABET = st.sampled_from("abcABC,.!'-€éÉ \t\n0")


@given(st.lists(st.text(ALPHABET, max_size=20), min_size=1, max_size=8), st.integers(5, 12))
def test_tokens_are_those_of_a_loop_over_texts(texts, size):
    assert ids(tokens_of(texts, size=size, max_length=7)) == slow(texts, size, 7)


def test_official_parts_decide_what_the_vocabulary_is_made_of():
    official = torch.tensor([0, 2, 1], dtype=torch.int8)
    tokens = TextSettings().tokenized(DataConfig(), ["a", "b", "c"], official)
    assert tokens.words == (*SPECIAL, "a")
    assert TextSettings().tokenized(DataConfig(), ["a", "b", "c"], None).vocab_size == 7


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_length": 2}, "max_length must be >= 3, got 2"),
        ({"tokenizer": ""}, "tokenizer must be words, a hub id or a folder, got nothing"),
        ({"tokenizer": "a/b", "vocabulary": 9}, "vocabulary must be null unless tokenizer=words"),
        ({"vocabulary": 4}, "vocabulary must be > 4, the number of special tokens, got 4"),
        ({"tokenizer_revision": "v1"}, "tokenizer_revision must be null with tokenizer=words"),
        ({"samples": 0}, "samples must be >= 1, got 0"),
        ({"classes": 1}, "classes must be >= 2, got 1"),
        ({"topic_words": 0}, "topic_words must be >= 1, got 0"),
        ({"shortest": 40}, r"shortest must be in \[1, longest=32\], got 40"),
        ({"noise": 1.5}, r"noise must be in \[0, 1\], got 1.5"),
        ({"signal": 0.8, "signature": 0.3}, "signature must be <= 1 - signal = 0.2, got 0.3"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        SyntheticText(**settings)


def test_made_up_texts_have_the_words_their_settings_say():
    """Each share of n = 40,000 draws has a standard error below 0.5 / sqrt(n) = 0.0025."""
    actual = SyntheticText(signal=0.3, signature=0.2, topic_words=1, words=5)(DataConfig())
    assert actual.vocab_size == 4 + 5 + 4 + 40  # shared words, topics, authors
    inner = actual.flat[actual.flat > 3].bincount()[4:].sort().values
    assert inner[:40].sum() / inner.sum() == pytest.approx(0.2, abs=0.01)
    pool = SyntheticText(noise=0.0, max_length=64)(DataConfig())
    lengths = pool.offsets.diff() - 2
    assert (lengths.min(), lengths.max()) == (8, 32)
    assert pool.num_classes == 4
    assert pool.vocab_size <= 4 + 800 + 20 * 44
    topics = SyntheticText(noise=0.0, signal=1.0, signature=0.0)(DataConfig())
    used = [topics.fetch(EVERY[topics.targets == c])["input_ids"].unique() for c in range(4)]
    shared = set(used[0].tolist()) & set(used[1].tolist())
    assert shared == {0, 2, 3}  # of two topics that have words of their own


def test_labels_of_made_up_texts_are_noisy_before_any_split():
    """Of 2,000 labels 0.4 * 3/4 change; the standard error is sqrt(0.3 * 0.7 / 2000) = 0.01."""
    clean, noisy = (SyntheticText(noise=noise)(DataConfig()) for noise in (0.0, 0.4))
    assert torch.equal(clean.flat, noisy.flat)
    share = (clean.targets != noisy.targets).double().mean().item()
    assert share == pytest.approx(0.3, abs=0.04)
    other = SyntheticText(data_seed=8)(DataConfig())
    assert other.fingerprint != SyntheticText()(DataConfig()).fingerprint
