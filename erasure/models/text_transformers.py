"""Transformers for texts: with random weights from a configuration, or pretrained."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import nn

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.models.text import TextClassifier, not_texts

SET_BY_US = ("vocab_size", "pad_token_id", "num_labels", "max_position_embeddings")


def transformer(
    num_classes: int,
    architecture: str,
    vocab_size: int | None = None,
    pad_id: int | None = None,
    max_length: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> TextClassifier:
    """Build a transformer with random weights; nothing is downloaded.

    Args:
        num_classes: Number of logits.
        architecture: Name that transformers knows, such as ``bert`` or ``deberta-v2``.
        vocab_size: Number of different tokens, from the data.
        pad_id: Token that fills up a batch, from the data.
        max_length: Largest number of tokens in a text, from the data.
        settings: Settings of the architecture that differ from its own, such as ``hidden_size``.

    Raises:
        UnsupportedError: If the data are not texts, or transformers is not installed.
        ConfigError: If the architecture or one of its settings does not exist.
    """
    if vocab_size is None or pad_id is None or max_length is None:
        raise not_texts(architecture)
    library = _transformers(architecture)
    try:
        config = library.AutoConfig.for_model(architecture)
    except ValueError as error:
        close = get_close_matches(architecture, list(library.CONFIG_MAPPING), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigError(
            f"architecture must be one that transformers knows, got {architecture!r}{hint}"
        ) from error
    chosen = dict(settings or {})
    _check_settings(config, chosen)
    made = {"vocab_size": vocab_size, "pad_token_id": pad_id, "num_labels": num_classes}
    if hasattr(config, "max_position_embeddings"):
        made["max_position_embeddings"] = max_length + pad_id + 1  # some count from the padding on
    from huggingface_hub.errors import StrictDataclassError

    try:
        config = library.AutoConfig.for_model(architecture, **chosen, **made)
        network = library.AutoModelForSequenceClassification.from_config(config)
    except (ValueError, TypeError, KeyError, AttributeError, StrictDataclassError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"settings do not make a classifier {architecture}: {reason}") from error
    return TextClassifier(network)


def pretrained_transformer(
    num_classes: int,
    name: str,
    revision: str | None = None,
    vocab_size: int | None = None,
    max_length: int | None = None,
    tokenizer: str | None = None,
    models_folder: str | None = None,
    download: bool = True,  # noqa: FBT001, FBT002  # from the data, by name
) -> TextClassifier:
    """Build a classifier from a published encoder, with a new head.

    The head is drawn from the seed of the trial, the encoder is the same in all trials. A copy in
    ``<data.root>/hf-models/<name>`` is taken before the hub is asked; it must be what its name
    says. Weights come from safetensors files, or from others read with ``weights_only``.

    Args:
        num_classes: Number of logits.
        name: Hub id, or a folder.
        revision: Commit or tag of the hub; null means ``main``, which may change.
        vocab_size: Number of different tokens, from the data.
        max_length: Largest number of tokens in a text, from the data.
        tokenizer: The tokenizer of the data, from the data. It must be called as the model is;
            to say that a tokenizer of another name fits, set this to ``name``.
        models_folder: Where copies are, from the data.
        download: Whether the hub may be asked, from the data.

    Raises:
        UnsupportedError: If the data are not texts, transformers is not installed, or the model
            cannot be loaded.
        ConfigError: If the tokenizer of the data does not fit the model.
    """
    if vocab_size is None or max_length is None or models_folder is None:
        raise not_texts(name)
    if tokenizer != name:
        raise ConfigError(
            f"name must be that of the tokenizer, whose ids the model was trained on: "
            f"use dataset.tokenizer={name}, got dataset.tokenizer={tokenizer}"
        )
    library = _transformers(name)
    local = next((p for p in (Path(models_folder) / name, Path(name)) if p.is_dir()), None)
    source = name if local is None else str(local)
    where = {
        "revision": revision or "main",
        "cache_dir": models_folder,
        "local_files_only": local is not None or not download,
    }
    with _loading(name, models_folder):
        config = library.AutoConfig.from_pretrained(source, num_labels=num_classes, **where)
        # drawn as any network is, head included; the encoder is put into it below
        network = library.AutoModelForSequenceClassification.from_config(config)
        body, loading_info = library.AutoModel.from_pretrained(
            source, weights_only=True, output_loading_info=True, **where
        )
    _check_fit(network, name, vocab_size, max_length)
    _require_body(name, [*loading_info["missing_keys"], *loading_info["mismatched_keys"]])
    missing, _ = network.base_model.load_state_dict(body.state_dict(), strict=False)
    _require_body(name, missing)
    return TextClassifier(network)


def _transformers(model: str) -> Any:
    try:
        import transformers
    except ImportError as error:
        raise UnsupportedError(
            f'model {model} needs transformers: pip install "erasure-unlearning[text]"; '
            "model=text_bow reads texts without it"
        ) from error
    return transformers


def _check_settings(config: Any, settings: Mapping[str, Any]) -> None:
    """Refuse names that the configuration of the architecture does not have.

    Raises:
        ConfigError: transformers itself takes any name and ignores it.
    """
    allowed_settings = sorted({*config.to_dict(), *config.attribute_map} - set(SET_BY_US))
    for name in settings:
        if name in SET_BY_US:
            raise ConfigError(f"settings must not hold {name}, which the data say")
        if name not in allowed_settings:
            close = get_close_matches(name, allowed_settings, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ConfigError(
                f"settings must be those of {config.model_type} in transformers, "
                f"got {name!r}{hint}"
            )


def _check_fit(network: Any, name: str, vocab_size: int, max_length: int) -> None:
    config = network.config
    if vocab_size > config.vocab_size:
        raise ConfigError(
            f"name must be a model of at least {vocab_size} tokens, as the tokenizer of the data "
            f"has, got {name} with {config.vocab_size}"
        )
    most = getattr(config, "max_position_embeddings", None) or max_length
    for part, module in network.named_modules():
        if part.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            # with an index for padding, positions are counted from the one behind it
            first = 0 if module.padding_idx is None else module.padding_idx + 1
            most = module.num_embeddings - first
    if max_length > most:
        raise ConfigError(
            f"name must be a model of texts as long as those of the data, {name} reads at most "
            f"{most} tokens: use dataset.max_length={most}, got {max_length}"
        )


def _require_body(name: str, missing: Iterable[object]) -> None:
    """Refuse an encoder with weights that were not loaded; a pooler is often not published."""
    lost = [str(key) for key in missing if "pooler" not in str(key)]
    if lost:
        raise UnsupportedError(
            f"the files of {name} do not hold the whole encoder, {len(lost)} weights such as "
            f"{lost[0]} are missing or have another shape"
        )


@contextmanager
def _loading(name: str, folder: str) -> Iterator[None]:
    """Load quietly: what is missing is checked here, and each trial loads several times."""
    from transformers.utils import logging as its_logging

    logging: Any = its_logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise UnsupportedError(
            f"the pretrained model {name} could not be loaded: {reason}. Without a network, put "
            f"its folder (config.json and model.safetensors) into {folder}, or use a model with "
            f"random weights such as model=bert_tiny"
        ) from error
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
