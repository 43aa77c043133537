"""Forget sets drawn at random, in proportion to the classes, or by class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from erasure.core.errors import ConfigError
from erasure.core.pool import Pool
from erasure.data.splits.forgetting import Forgetting
from erasure.data.splits.selecting import in_proportion, label_codes, labels, of_classes, shown


@dataclass(frozen=True, kw_only=True)
class RandomForget(Forgetting):
    """Forget training samples drawn at random.

    Args:
        base: The base split.
        duplicates: What to do about copies.
        near: When samples count as near copies.
        fraction: Share of the training set, in (0, 1); give this or ``count``.
        count: Number of samples.
    """

    fraction: float | None = 0.1
    count: int | None = None

    def validate(self) -> None:
        """Refuse both or neither of fraction and count, and what is out of range."""
        check_amount(self.fraction, self.count)

    def choose(self, pool: Pool, train: Tensor, generator: Generator) -> Tensor:
        """Draw from the training set; a larger fraction contains a smaller one."""
        del pool
        size = amount(self.fraction, self.count, len(train))
        return train[torch.randperm(len(train), generator=generator)][:size]


@dataclass(frozen=True, kw_only=True)
class StratifiedForget(Forgetting):
    """Forget training samples drawn at random, each class in its proportion.

    Args:
        base: The base split.
        duplicates: What to do about copies.
        near: When samples count as near copies.
        fraction: Share of the training set, in (0, 1); give this or ``count``.
        count: Number of samples.
    """

    fraction: float | None = 0.1
    count: int | None = None

    def validate(self) -> None:
        """Refuse both or neither of fraction and count, and what is out of range."""
        check_amount(self.fraction, self.count)

    def choose(self, pool: Pool, train: Tensor, generator: Generator) -> Tensor:
        """Draw class by class; a larger fraction contains a smaller one."""
        size = amount(self.fraction, self.count, len(train))
        return in_proportion(train, label_codes(pool), size, generator)


@dataclass(frozen=True, kw_only=True)
class ClassForget(Forgetting):
    """Forget whole classes, or a random share of each.

    Args:
        base: The base split.
        duplicates: What to do about copies.
        near: When samples count as near copies.
        classes: Class numbers or names.
        share: Share of the training samples of each class, in (0, 1].
    """

    classes: Sequence[int | str]
    share: float = 1.0

    def validate(self) -> None:
        """Refuse an empty list and shares out of range."""
        if not self.classes or isinstance(self.classes, str):
            raise ConfigError(f"classes must be a list such as [3], got {self.classes!r}")
        check_share(self.share)

    def choose(self, pool: Pool, train: Tensor, generator: Generator) -> Tensor:
        """Take the classes, or draw a share of each."""
        chosen = train[of_classes(pool, self.classes)[train]]
        if len(chosen) == len(train) and self.share == 1.0:
            raise ConfigError(
                f"classes={shown(self.classes)} covers all training samples: nothing is retained"
            )
        size = round(self.share * len(chosen))
        if size == 0:
            raise ConfigError(
                f"classes={shown(self.classes)} with share={self.share} selects none of "
                f"{len(train)} training samples"
            )
        # nothing is drawn, and no rounding can leave a sample out
        if self.share == 1.0:
            return chosen
        return in_proportion(chosen, label_codes(pool), size, generator)

    def population(self, pool: Pool) -> Tensor:
        """Return the samples of the classes."""
        return of_classes(pool, self.classes)

    def scenario(self, pool: Pool) -> Mapping[str, Any]:
        """Name the classes, by number."""
        codes = sorted({labels(pool).code(wanted, "classes") for wanted in self.classes})
        return {"kind": "class", "classes": codes, "share": self.share}


def check_amount(fraction: float | None, count: int | None) -> None:
    """Refuse both or neither of ``fraction`` and ``count``, and what is out of range."""
    if (fraction is None) == (count is None):
        raise ConfigError(
            f"fraction and count exclude each other: set one and make the other null, "
            f"got fraction={fraction} and count={count}"
        )
    if fraction is not None and not 0.0 < fraction < 1.0:
        raise ConfigError(f"fraction must be in (0, 1), got {fraction}")
    if count is not None and count < 1:
        raise ConfigError(f"count must be >= 1, got {count}")


def amount(fraction: float | None, count: int | None, available: int) -> int:
    """Return how many of ``available`` samples to take, at least one and not all.

    Raises:
        ConfigError: If that many cannot be taken.
    """
    if count is not None:
        if count >= available:
            raise ConfigError(
                f"count must be < {available}, the size of the training set, got {count}"
            )
        return count
    size = round((fraction or 0.0) * available)
    if not 0 < size < available:
        raise ConfigError(
            f"fraction={fraction} of {available} training samples forgets {size}; "
            f"it must leave at least one sample to forget and one to retain"
        )
    return size


def check_share(share: float) -> None:
    """Refuse a share that is not in (0, 1]."""
    if not 0.0 < share <= 1.0:
        raise ConfigError(f"share must be in (0, 1], got {share}")
