"""The pool of texts, against the padding of PyTorch and numbers worked by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence

from erasure.core.errors import DataError
from erasure.core.splits import View
from erasure.data.pools.tokens import TokenPool

TEXTS = ([2, 5, 6, 3], [2, 3], [2, 5, 6, 7, 8, 3], [2, 6, 5, 3], [2, 5, 6, 3], [2, 9, 9, 9, 3])


def pool_of(texts=TEXTS, **fields):
    lengths = torch.tensor([0, *map(len, texts)])
    defaults = {
        "flat": torch.tensor([token for text in texts for token in text], dtype=torch.int32),
        "offsets": lengths.cumsum(0),
        "targets": torch.arange(len(texts)) % 2,
        "class_names": ("even", "odd"),
        "vocab_size": 12,
        "pad_id": 0,
        "max_length": 8,
    }
    return TokenPool(**defaults | fields)


@pytest.mark.parametrize("pad", [0, 1, 11])
def test_batches_are_those_of_pad_sequence(pad):
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 9, (50,), generator=generator).tolist()
    texts = [torch.randint(2, 11, (n,), generator=generator).tolist() for n in lengths]
    pool = pool_of(texts, pad_id=pad)
    for _ in range(5):
        index = torch.randint(50, (7,), generator=generator)
        rows = [torch.tensor(texts[i]) for i in index.tolist()]
        inputs = pool.fetch(index)
        assert torch.equal(inputs["input_ids"], pad_sequence(rows, True, pad))
        ones = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        assert torch.equal(inputs["attention_mask"], ones)
        assert inputs["input_ids"].dtype == inputs["attention_mask"].dtype == torch.int64


def test_a_stream_gives_the_same_batches_as_fetching_them():
    pool = pool_of()
    batches = [torch.tensor([1]), torch.tensor([2, 0, 5]), torch.tensor([4, 3])]
    for index, inputs in zip(batches, pool.stream(batches), strict=True):
        wanted = pool.fetch(index)
        assert inputs.keys() == wanted.keys()
        assert all(torch.equal(inputs[name], wanted[name]) for name in inputs)
    assert list(pool.stream([])) == []


def test_a_view_visits_each_text_once_with_its_own_label():
    pool = pool_of()
    generator = torch.Generator().manual_seed(3)
    seen = []
    for batch in View(pool, torch.arange(6)).batches(4, generator=generator):
        for row, mask, target, i in zip(*batch.inputs.values(), *batch[1:], strict=True):
            assert row[mask.bool()].tolist() == list(TEXTS[i])
            assert target == i % 2
            seen.append(int(i))
    assert sorted(seen) == list(range(6))


def test_models_are_told_what_they_need():
    pool = pool_of(properties={"tokenizer": "words"})
    assert pool.properties == {
        "tokenizer": "words",
        "vocab_size": 12,
        "pad_id": 0,
        "max_length": 8,
        "modality": "text",
    }
    assert pool.input_shape == (8,)


def test_hashes_are_equal_for_equal_texts_and_only_for_those():
    digests = pool_of().digests(torch.arange(6)).tolist()
    assert digests[0] == digests[4]
    assert len(set(digests)) == 5
    again = pool_of(TEXTS[::-1]).digests(torch.arange(6)).tolist()
    assert again == digests[::-1]


def test_a_text_is_not_taken_for_one_that_ends_in_padding():
    pool = pool_of(([2, 5], [2, 5, 0], [2, 5, 0, 0]))
    assert len(set(pool.digests(torch.arange(3)).tolist())) == 3


def test_sketches_ignore_the_order_of_words_and_words_that_all_texts_have():
    sketches = pool_of().sketch(torch.arange(6))
    assert sketches.shape == (6, 256)
    assert torch.equal(sketches[0], sketches[3])
    assert torch.equal(sketches[0], sketches[4])
    assert sketches[1].abs().sum() == 0  # nothing but the first and the last token
    assert abs(F.cosine_similarity(sketches[0], sketches[5], dim=0)) < 1e-6


def test_a_sketch_counts_words_by_the_logarithm_of_their_rarity():
    """Token 9 is three times in one of six texts."""
    sketch = pool_of().sketch(torch.tensor([5]))[0]
    assert sketch.abs().max().item() == pytest.approx(3 * math.log(6), rel=1e-6)
    assert (sketch != 0).sum() == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"texts": ([2, 5, 6, 4], *TEXTS[1:])},
        {"texts": ([2, 5, 6], [3, 2, 3], *TEXTS[2:])},
        {"pad_id": 1},
        {"vocab_size": 13},
        {"max_length": 9},
        {"targets": torch.zeros(6, dtype=torch.int64)},
        {"class_names": ("even", "uneven")},
    ],
)
def test_the_fingerprint_tells_every_change(changed):
    assert pool_of(**changed).fingerprint != pool_of().fingerprint
    assert pool_of().fingerprint == pool_of(properties={"download": True}).fingerprint


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"texts": ([2, 3], [])}, "texts must have 1 to 8 tokens"),
        ({"max_length": 5}, "texts must have 1 to 5 tokens"),
        ({"vocab_size": 9}, r"token ids must be in \[0, 8\]"),
        ({"pad_id": 12}, r"token ids must be in \[0, 11\]"),
        ({"pad_id": -1}, "token ids must be in"),
        ({"targets": torch.zeros(5, dtype=torch.int64)}, "targets has 5 rows for 6 inputs"),
        ({"flat": torch.zeros(3, dtype=torch.int32)}, "offsets must go from 0 to 3"),
    ],
)
def test_texts_that_make_no_sense_are_refused(changed, message):
    with pytest.raises(DataError, match=message):
        pool_of(**changed)
