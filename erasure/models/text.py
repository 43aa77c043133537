"""Classifiers of texts: a bag of embeddings, and transformers from the library of that name."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from erasure.core.errors import ConfigError, UnsupportedError


class BagOfEmbeddings(nn.Module):
    """The mean of the embeddings of a text's tokens, and a multilayer perceptron on top of it.

    Args:
        num_classes: Number of logits.
        vocab_size: Number of different tokens, from the data.
        pad_id: Token that fills up a batch, from the data; its embedding stays zero.
        dim: Width of the embeddings.
        hidden: Width of each hidden layer; empty makes a linear classifier of the mean.
        dropout: Probability with which a number of the mean is set to zero in training.

    Raises:
        UnsupportedError: If the data are not texts.
        ConfigError: If a setting is out of range.

    References:
        A. Joulin et al., "Bag of Tricks for Efficient Text Classification", EACL 2017,
        arXiv:1607.01759.
    """

    def __init__(
        self,
        num_classes: int,
        vocab_size: int | None = None,
        pad_id: int | None = None,
        dim: int = 64,
        hidden: Sequence[int] = (64,),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if vocab_size is None or pad_id is None:
            raise not_texts("text_bow")
        if dim < 1 or any(width < 1 for width in hidden):
            raise ConfigError(f"dim and hidden must be positive, got {dim} and {list(hidden)}")
        if not 0.0 <= dropout < 1.0:
            raise ConfigError(f"dropout must be in [0, 1), got {dropout}")
        self.embedding = nn.Embedding(vocab_size, dim, padding_idx=pad_id)
        layers: list[nn.Module] = [nn.Dropout(dropout)]
        for wide, narrow in pairwise([dim, *hidden]):
            layers += [nn.Linear(wide, narrow), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear([dim, *hidden][-1], num_classes))

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Map ``input_ids`` and ``attention_mask``, ``(B, L)`` each, to logits ``(B, C)``."""
        mask = inputs["attention_mask"].unsqueeze(-1)
        # (B, L, D) times (B, L, 1): padding counts neither in the sum nor in the number of tokens
        summed = (self.embedding(inputs["input_ids"]) * mask).sum(dim=1)
        logits: Tensor = self.layers(summed / mask.sum(dim=1))
        return logits


class TextClassifier(nn.Module):
    """A sequence classifier of transformers that maps batches of texts to logits.

    Positions and token types are handed to the network row by row, although they are the same in
    all rows, so that each layer sees the batch in its first dimension: gradients of single
    samples then have closed forms.

    Args:
        network: What ``AutoModelForSequenceClassification`` returns.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.accepts = _accepted(network)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Map ``input_ids`` and ``attention_mask``, ``(B, L)`` each, to logits ``(B, C)``."""
        ids = inputs["input_ids"]
        more: dict[str, Tensor] = {}
        if "position_ids" in self.accepts:
            more["position_ids"] = torch.arange(ids.shape[1], device=ids.device).expand(ids.shape)
        if "token_type_ids" in self.accepts:
            more["token_type_ids"] = torch.zeros_like(ids)
        output = self.network(input_ids=ids, attention_mask=inputs["attention_mask"], **more)
        logits: Tensor = output.logits
        return logits


def not_texts(model: str) -> UnsupportedError:
    """Return the error of a text model that is given something else."""
    return UnsupportedError(
        f"model {model} needs texts, and this data set has none; use model=mlp, or a data set of "
        f"texts such as dataset=synthetic_text"
    )


def _accepted(network: Any) -> frozenset[str]:
    """Return which of the two inputs that are the same in all rows ``network`` takes.

    Where positions are counted from the padding on, as in RoBERTa, the network makes them itself.
    """
    import inspect

    accepted = {"position_ids", "token_type_ids"} & set(
        inspect.signature(network.forward).parameters
    )
    tables = [
        module
        for name, module in network.named_modules()
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding)
    ]
    if not tables or any(table.padding_idx is not None for table in tables):
        accepted -= {"position_ids"}
    return frozenset(accepted)
