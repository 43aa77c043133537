"""Trials with transformers: pretrained tokenizers and encoders from folders, offline."""

import sys

import pandas as pd
import pytest
import torch

from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, DataError
from erasure.core.seeding import isolated
from erasure.data.sources.huggingface.texts import HuggingFaceText
from erasure.data.sources.synthetic_text import SyntheticText
from erasure.trial.task import run

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = ["play", "##ing", "the", "game", "is", "over", "!", "word", *"0123456789"]
PIECES += [f"##{digit}" for digit in range(10)]


def test_a_missing_library_is_told_with_the_setting_that_needs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        ConfigError, match=r'tokenizer must be words .*pip install "erasure-unlearning\[text\]"'
    ):
        SyntheticText(tokenizer="org/tiny")(DataConfig())


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A root of data with the published model ``org/tiny`` and its tokenizer."""
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    folder = tmp_path_factory.mktemp("data")
    place = folder / "hf-models" / "org" / "tiny"
    vocab = {token: i for i, token in enumerate([*SPECIAL, *PIECES])}
    words = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    words.normalizer = normalizers.BertNormalizer()
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]"
    ).save_pretrained(place)
    config = transformers.AutoConfig.for_model(
        "bert",
        vocab_size=len(vocab),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=48,
    )
    with isolated(0, "published"):
        transformers.AutoModelForMaskedLM.from_config(config).save_pretrained(place)
    return folder


@pytest.mark.slow
def test_texts_are_tokenized_as_the_pretrained_tokenizer_does(root):
    rows = {"text": ["Playing the game!", "the plays", "is"], "label": ["a", "b", "a"]}
    pd.DataFrame(rows).to_csv(root / "rows.csv", index=False)
    settings = {"path": "rows.csv", "text": ["text"], "target": "label", "tokenizer": "org/tiny"}
    data_config = DataConfig(root=root, download=False)
    pool = HuggingFaceText(**settings, max_length=6)(data_config)
    assert pool.fetch(torch.arange(3))["input_ids"].tolist() == [
        [2, 5, 6, 7, 8, 3],  # cut: the exclamation mark does not fit
        [2, 7, 1, 3, 0, 0],
        [2, 9, 3, 0, 0, 0],
    ]
    assert pool.properties["vocab_size"] == len(SPECIAL) + len(PIECES)
    assert pool.properties["tokenizer"] == "org/tiny"
    ours = HuggingFaceText(**{**settings, "tokenizer": "words"}, max_length=6)(data_config)
    assert ours.fingerprint != pool.fingerprint


@pytest.mark.slow
def test_a_tokenizer_that_is_not_there_is_told_with_what_to_do(root):
    with pytest.raises(DataError, match=r"no/such .*hf-models .*|or use tokenizer=words"):
        SyntheticText(tokenizer="no/such")(DataConfig(root=root, download=False))


def trial(compose_config, root, store, *changes):
    return run(
        compose_config(
            "dataset=synthetic_text",
            "dataset.samples=300",
            "trainer.fit.epochs=1",
            "trainer.fit.optimizer.lr=0.002",
            "tracking=none",
            "pictures=false",
            f"store.root={store}",
            f"data.root={root}",
            "data.download=false",
            *changes,
        )
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "unlearner"),
    [
        ("bert_tiny", "scrub"),
        ("bert_tiny", "ssd"),
        ("bert_tiny", "fisher_forgetting"),
        ("distilbert_tiny", "ssd"),
    ],
)
def test_tiny_transformers_unlearn(compose_config, root, tmp_path, model, unlearner):
    extra = ["unlearner.alpha=1.0"] if unlearner == "ssd" else []
    result = trial(
        compose_config, root, tmp_path, f"model={model}", f"unlearner={unlearner}", *extra
    )
    assert 0.0 <= result <= 1.0


@pytest.mark.slow
def test_a_pretrained_encoder_unlearns(compose_config, root, tmp_path):
    changes = ["model=hf", "model.name=org/tiny", "dataset.tokenizer=org/tiny"]
    changes += ["dataset.max_length=48", "unlearner.fit.epochs=1"]
    assert 0.0 <= trial(compose_config, root, tmp_path, *changes) <= 1.0
    with pytest.raises(ConfigError, match=r"use dataset.tokenizer=org/tiny, got .*=words"):
        trial(compose_config, root, tmp_path, *changes, "dataset.tokenizer=words")
