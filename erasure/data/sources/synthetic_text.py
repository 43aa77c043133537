"""Made-up texts of any number of topics, for trials without a download."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from erasure.core.columns import Column
from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError
from erasure.core.seeding import stream
from erasure.data.frames.labelling import Labels
from erasure.data.pools.tokens import TokenPool
from erasure.data.sources.packing import pack
from erasure.data.sources.texts import TextSettings, token_parts


@dataclass(frozen=True, kw_only=True)
class SyntheticText(TextSettings):
    """Texts whose words tell their topic, more or less.

    Each topic has words of its own, each author too, and all share the others. A word of a text
    is one of its topic with probability ``signal``, one of its author with probability
    ``signature``, and otherwise one of those that are shared, where the word at rank r is drawn
    with probability proportional to 1 / r, as in natural language. The label of a text is drawn
    anew with probability ``noise``, before any split: such texts can only be memorized.

    Args:
        tokenizer: ``words``, or the hub id or folder of a pretrained tokenizer.
        tokenizer_revision: Commit or tag of a tokenizer of the hub.
        vocabulary: Largest number of ids of our own vocabulary.
        max_length: Longer texts are cut to this number of tokens.
        samples: Number of texts.
        classes: Number of topics.
        authors: Number of authors; the attribute ``author`` says who wrote a text.
        words: Number of words in the shared part of the language.
        topic_words: Number of words of a topic, and of an author.
        shortest: Smallest number of words in a text.
        longest: Largest number of words in a text.
        signal: Probability of a word of the topic.
        signature: Probability of a word of the author.
        noise: Probability of a label that has nothing to do with the text.
        data_seed: Seed of the texts; part of the data set, not of the trial.

    Raises:
        ConfigError: If a setting is out of range.

    References:
        G. K. Zipf, "Human Behavior and the Principle of Least Effort", 1949.
    """

    samples: int = 2000
    classes: int = 4
    authors: int = 40
    words: int = 800
    topic_words: int = 20
    shortest: int = 8
    longest: int = 32
    signal: float = 0.15
    signature: float = 0.1
    noise: float = 0.1
    data_seed: int = 7

    def __post_init__(self) -> None:
        TextSettings.__post_init__(self)
        for name, least in (("samples", 1), ("classes", 2), ("authors", 1), ("words", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be >= {least}, got {getattr(self, name)}")
        if self.topic_words < 1:
            raise ConfigError(f"topic_words must be >= 1, got {self.topic_words}")
        if not 1 <= self.shortest <= self.longest:
            raise ConfigError(
                f"shortest must be in [1, longest={self.longest}], got {self.shortest}"
            )
        for name in ("signal", "signature", "noise"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        if self.signal + self.signature > 1.0:
            raise ConfigError(
                f"signature must be <= 1 - signal = {1 - self.signal:g}, got {self.signature}"
            )

    def __call__(self, data_config: DataConfig) -> TokenPool:
        """Return the pool; all texts are made and tokenized anew, which takes milliseconds."""
        generator = stream(self.data_seed, "synthetic_text")
        topics = _some(self.classes, self.samples, generator)
        authors = _some(self.authors, self.samples, generator)
        texts = self._texts(topics, authors, generator)
        noisy = torch.rand(self.samples, generator=generator) < self.noise
        targets = topics.where(~noisy, _some(self.classes, self.samples, generator))
        names = tuple(f"topic {i}" for i in range(self.classes))
        written = Column(authors, tuple(f"author {i}" for i in range(self.authors)))
        tensors, properties = token_parts(self.tokenized(data_config, texts, None))
        made = pack(Labels(targets, names), {"author": written}, None, tensors, **properties)
        return self.token_pool(data_config, made)

    def _texts(self, topics: Tensor, authors: Tensor, generator: Generator) -> list[str]:
        lengths = _some(self.longest - self.shortest + 1, self.samples, generator) + self.shortest
        owner = torch.repeat_interleave(torch.arange(self.samples), lengths)
        count = len(owner)
        shares = 1.0 / torch.arange(1, self.words + 1, dtype=torch.float64)
        shared = torch.multinomial(shares, count, replacement=True, generator=generator)
        within = _some(self.topic_words, count, generator)
        kind = torch.rand(count, generator=generator, dtype=torch.float64)
        of_topic = self.words + topics[owner] * self.topic_words + within
        # codes: shared words first, then the words of each topic, then those of each author
        of_author = self.words + (self.classes + authors[owner]) * self.topic_words + within
        # one draw decides: below signal the topic, then the author, above both the shared words
        codes = torch.where(kind < self.signal + self.signature, of_author, shared)
        codes = torch.where(kind < self.signal, of_topic, codes)
        pieces = [f"word{code}" for code in codes.tolist()]
        ends = lengths.cumsum(0).tolist()
        return [" ".join(pieces[a:b]) for a, b in zip([0, *ends], ends, strict=False)]


def _some(below: int, count: int, generator: Generator) -> Tensor:
    return torch.randint(below, (count,), generator=generator)
