"""Models of texts: what they return, what they refuse, and that padding changes nothing."""

import sys

import pytest
import torch
from torch import nn

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.seeding import isolated
from erasure.data.pools.tokens import TokenPool
from erasure.models.layers import head
from erasure.models.text import BagOfEmbeddings
from erasure.models.text_transformers import pretrained_transformer, transformer

SIZES = {
    "bert": {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    },
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32},
}
SIZES["roberta"] = SIZES["deberta-v2"] = SIZES["bert"]
ARCHITECTURES = tuple(SIZES)
TOLD = {"num_classes": 3, "vocab_size": 40, "pad_id": 0, "max_length": 20}


def texts(count=6, pad=0):
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(2, 21, (count,), generator=generator)
    return TokenPool(
        flat=torch.randint(4, 40, (int(lengths.sum()),), generator=generator, dtype=torch.int32),
        offsets=torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)]),
        targets=torch.arange(count) % 3,
        class_names=("a", "b", "c"),
        vocab_size=40,
        pad_id=pad,
        max_length=20,
    )


def bag(**settings):
    with isolated(0, "model"):
        return BagOfEmbeddings(**{"num_classes": 3, "vocab_size": 40, "pad_id": 0} | settings)


def test_a_bag_is_the_perceptron_of_the_mean_embedding():
    pool, model = texts(), bag(dim=8, hidden=[5])
    logits = model(pool.fetch(torch.arange(6)))
    for i in range(6):
        tokens = pool.fetch(torch.tensor([i]))["input_ids"][0]
        mean = model.embedding.weight[tokens].double().mean(dim=0)
        first, _, last = list(model.layers)[1:]
        hidden = torch.relu(first.weight.double() @ mean + first.bias.double())
        expected = last.weight.double() @ hidden + last.bias.double()
        torch.testing.assert_close(logits[i].double(), expected, rtol=1e-5, atol=1e-6)


def test_a_bag_without_hidden_layers_is_linear_and_has_a_head():
    model = bag(dim=8, hidden=[])
    assert sum(p.numel() for p in model.parameters()) == 40 * 8 + 8 * 3 + 3
    assert head(model)[1].out_features == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": 0}, "dim and hidden must be positive, got 0"),
        ({"hidden": [0]}, "dim and hidden must be positive"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
    ],
)
def test_a_bag_refuses_settings_that_make_no_sense(settings, message):
    with pytest.raises(ConfigError, match=message):
        bag(**settings)


def test_models_of_texts_refuse_other_data():
    for build in (
        lambda: bag(vocab_size=None),
        lambda: transformer(num_classes=3, architecture="bert"),
        lambda: pretrained_transformer(num_classes=3, name="a/b"),
    ):
        with pytest.raises(UnsupportedError, match="needs texts, and this data set has none"):
            build()


def test_the_missing_library_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        UnsupportedError, match=r'needs transformers: pip install "erasure-unlearning\[text\]"'
    ):
        transformer(architecture="bert", **TOLD)


def test_a_pretrained_model_wants_its_own_tokenizer():
    told = {"num_classes": 3, "vocab_size": 40, "max_length": 20, "models_folder": "models"}
    with pytest.raises(
        ConfigError, match=r"use dataset.tokenizer=a/b, got dataset.tokenizer=words"
    ):
        pretrained_transformer(name="a/b", tokenizer="words", **told)


def tiny(architecture, pad=0, seed=0):
    with isolated(seed, "model"):
        return transformer(
            architecture=architecture, settings=SIZES[architecture], **TOLD | {"pad_id": pad}
        ).eval()


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_padding_changes_nothing(architecture):
    pool, model = texts(pad=1), tiny(architecture, pad=1)
    together = model(pool.fetch(torch.arange(6)))
    alone = torch.cat([model(pool.fetch(torch.tensor([i]))) for i in range(6)])
    assert together.shape == (6, 3)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_transformers_give_the_logits_of_the_library(architecture):
    pool, model = texts(), tiny(architecture)
    inputs = pool.fetch(torch.arange(6))
    expected = model.network(**inputs).logits
    torch.testing.assert_close(model(inputs), expected)
    assert isinstance(head(model)[1], nn.Linear)
    assert head(model)[1].out_features == 3


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_gradients_of_single_texts_are_those_of_texts_alone(architecture):
    from erasure.core.splits import View
    from erasure.core.task_types import Multiclass
    from erasure.training.per_sample.gradients import mean_squared_sample_gradients

    pool, model, loss = texts(), tiny(architecture), Multiclass().loss
    squares = mean_squared_sample_gradients(model, View(pool, torch.arange(6)), loss)
    expected = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for i in range(6):
        model.zero_grad()
        loss(model(pool.fetch(torch.tensor([i]))), pool.targets[i : i + 1]).sum().backward()
        for name, p in model.named_parameters():
            expected[name] += p.grad.square() / 6
    for name, value in squares.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=1e-7)


@pytest.mark.slow
def test_random_weights_follow_the_seed_alone():
    one, again, other = (tiny("bert", seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["network.classifier.weight"], other["network.classifier.weight"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"architecture": "brt"}, "architecture must be one .* got 'brt'; did you mean 'bert'"),
        ({"settings": {"hiden_size": 3}}, "got 'hiden_size'; did you mean 'hidden_size'"),
        ({"settings": {"vocab_size": 3}}, "settings must not hold vocab_size, which the data say"),
        ({"settings": {"num_attention_heads": 5}}, "settings do not make a classifier bert"),
        ({"settings": {"hidden_size": "x"}}, "settings do not make a classifier bert: .*int"),
    ],
)
def test_transformers_refuse_what_the_library_does_not_know(settings, message):
    with isolated(0, "model"), pytest.raises(ConfigError, match=message):
        transformer(**{"architecture": "bert", **TOLD, **settings})


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Folders of encoders, as they are published: with the head of another task."""
    import transformers

    root = tmp_path_factory.mktemp("models")
    for architecture in ARCHITECTURES:
        config = transformers.AutoConfig.for_model(
            architecture,
            vocab_size=40,
            pad_token_id=0,
            max_position_embeddings=32,
            **SIZES[architecture],
        )
        with isolated(5, architecture):
            network = transformers.AutoModelForMaskedLM.from_config(config)
        network.save_pretrained(root / "org" / architecture)
    return root


def loaded(root, architecture, seed=0, **changes):
    name = f"org/{architecture}"
    settings = {"name": name, "tokenizer": name, "models_folder": str(root), "download": False}
    with isolated(seed, "model"):
        return pretrained_transformer(
            **{"num_classes": 3, "vocab_size": 40, "max_length": 20} | settings | changes
        )


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_pretrained_encoder_is_what_was_published_and_its_head_is_new(published, architecture):
    from safetensors.torch import load_file

    saved = load_file(published / "org" / architecture / "model.safetensors")
    one, again, other = (loaded(published, architecture, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], again[name]) for name in one)
    body = [n for n in one if n.removeprefix("network.") in saved]
    assert len(body) > 20
    assert all(torch.equal(one[n], saved[n.removeprefix("network.")]) for n in body)
    drawn = [name for name in one if not torch.equal(one[name], other[name])]
    assert drawn
    assert all(part in name for name in drawn for part in ("weight",))
    assert not set(drawn) & set(body)


@pytest.mark.slow
def test_a_head_that_comes_with_the_encoder_is_not_used(published, tmp_path):
    folder = tmp_path / "org" / "bert"
    model = loaded(published, "bert", seed=9)
    model.network.save_pretrained(folder)
    again = loaded(tmp_path, "bert", seed=0)
    assert torch.equal(
        again.network.classifier.weight,
        loaded(published, "bert", seed=0).network.classifier.weight,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"max_length": 200}, ConfigError, "reads at most 32 tokens: use dataset.max_length=32"),
        ({"vocab_size": 60}, ConfigError, "at least 60 tokens"),
        (
            {"name": "no/such", "tokenizer": "no/such"},
            UnsupportedError,
            "no/such could not be loaded: .*put its folder .* or use a model with random weights",
        ),
    ],
)
def test_pretrained_models_that_do_not_fit_are_refused(published, changes, error, message):
    with pytest.raises(error, match=message):
        loaded(published, "bert", **changes)


@pytest.mark.slow
def test_an_encoder_with_missing_weights_is_refused(published, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "org" / "bert"
    folder.mkdir(parents=True)
    source = published / "org" / "bert"
    (folder / "config.json").write_text((source / "config.json").read_text())
    saved = load_file(source / "model.safetensors")
    kept = {name: value for name, value in saved.items() if "layer.1.attention" not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        UnsupportedError, match="do not hold the whole encoder, 10 weights such as"
    ):
        loaded(tmp_path, "bert")
