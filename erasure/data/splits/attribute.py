"""Forget sets by an attribute: people, topics, subclasses, ranges of numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Generator, Tensor

from erasure.core.columns import Column
from erasure.core.errors import ConfigError
from erasure.core.pool import Pool
from erasure.data.splits.forgetting import Forgetting
from erasure.data.splits.selecting import column, label_codes, shown

WAYS = ("values", "value_range", "top_k", "n_values", "target_share")
"""The settings that say which values to forget, of which exactly one is set."""


@dataclass(frozen=True, kw_only=True)
class AttributeForget(Forgetting):
    """Forget all training samples with some values of an attribute.

    The values are named, or they are found among those that occur in the training set. In a
    column of sets, such as the people that a text mentions, a sample has a value if it is among
    others.

    Samples with these values may be held out too; they are the forgotten population, on which
    metrics report as ``test_forget``. Leave ``base.group`` null to have such samples, and one
    original for every request; ``base.group=<attribute>`` holds whole values out instead, and
    then no held-out sample shares a value with the forget set.

    Args:
        base: The base split.
        duplicates: What to do about copies.
        near: When samples count as near copies.
        attribute: Name of the column.
        values: Names of values; or numbers, which are positions among the names or, in a column
            of numbers, the numbers themselves.
        value_range: Lowest and highest number, both included, in a column of numbers; null
            leaves a side open.
        top_k: The most frequent values in the training set.
        n_values: This many values, drawn at random; a larger number contains a smaller one.
        target_share: Values drawn at random, in whole, until this share of the training set is
            reached, in (0, 1).
        nested: Refuse an attribute with a value that occurs in several classes: what is
            forgotten shall be subclasses.
    """

    attribute: str
    values: Sequence[int | float | str] | None = None
    value_range: Sequence[float | None] | None = None
    top_k: int | None = None
    n_values: int | None = None
    target_share: float | None = None
    nested: bool = False

    def validate(self) -> None:
        """Refuse none or several ways to name values, and what is out of range."""
        settings = {name: getattr(self, name) for name in WAYS if getattr(self, name) is not None}
        if len(settings) != 1:
            got = ", ".join(f"{name}={value}" for name, value in settings.items()) or "none"
            raise ConfigError(f"{WAYS[0]} excludes {', '.join(WAYS[1:])}: set one, got {got}")
        if self.values is not None and (isinstance(self.values, str) or not self.values):
            raise ConfigError(f"values must be a list such as [Ann, Bob], got {self.values!r}")
        if self.value_range is not None:
            _check_range(self.value_range)
        for name in ("top_k", "n_values"):
            if settings.get(name, 1) < 1:
                raise ConfigError(f"{name} must be >= 1, got {settings[name]}")
        if self.target_share is not None and not 0.0 < self.target_share < 1.0:
            raise ConfigError(f"target_share must be in (0, 1), got {self.target_share}")

    def settled(self, pool: Pool, train: Tensor, generator: Generator) -> Self:
        """Find or draw the values, unless they are given."""
        attribute = column(pool, self.attribute, "attribute")
        if self.nested:
            _check_nested(attribute, pool)
        if self.values is not None or self.value_range is not None:
            return self
        if attribute.kind == "number":
            raise ConfigError(
                f"attribute={self.attribute} is a column of numbers: set values or value_range"
            )
        codes = self._drawn(attribute, train, generator)
        values = [attribute.names[code] for code in codes.tolist()]
        return replace(self, values=values, top_k=None, n_values=None, target_share=None)

    def choose(self, pool: Pool, train: Tensor, generator: Generator) -> Tensor:
        """Take every training sample that has one of the values."""
        del generator
        chosen = train[self.population(pool)[train]]
        if len(chosen) == 0:
            raise ConfigError(
                f"{self._request()} of attribute {self.attribute} selects none of {len(train)} "
                f"training samples"
            )
        return chosen

    def population(self, pool: Pool) -> Tensor:
        """Return the samples that have one of the values."""
        attribute = column(pool, self.attribute, "attribute")
        if self.value_range is None:
            return attribute.having(self.values or (), "values")
        if attribute.kind != "number":
            raise ConfigError(
                f"value_range must be null for a column of names, set values instead; attribute "
                f"{self.attribute} has {shown(attribute.names)}"
            )
        low, high = self.value_range
        numbers = attribute.values.cpu()
        # every comparison with NaN is false: a missing number is in no range
        return (numbers >= (-torch.inf if low is None else low)) & (
            numbers <= (torch.inf if high is None else high)
        )

    def scenario(self, pool: Pool) -> Mapping[str, Any]:
        """Name the attribute and its values, those that were drawn included."""
        del pool
        chosen: Mapping[str, Any] = (
            {"value_range": list(self.value_range)}
            if self.value_range is not None
            else {"values": list(self.values or ())}
        )
        return {"kind": "attribute", "attribute": self.attribute, **chosen}

    def _request(self) -> str:
        if self.value_range is not None:
            return f"value_range={list(self.value_range)}"
        return f"values={shown(self.values or ())}"

    def _drawn(self, attribute: Column, train: Tensor, generator: Generator) -> Tensor:
        """Return codes of values: the most frequent ones, or some in random order."""
        counts = _counts(attribute, train)
        occurring = counts.nonzero().flatten()
        wanted = self.top_k or self.n_values or 1
        if wanted > len(occurring):
            setting = "n_values" if self.top_k is None else "top_k"
            raise ConfigError(
                f"{setting} must be <= {len(occurring)}, the values of {self.attribute} in the "
                f"training set, got {wanted}"
            )
        if self.top_k is not None:
            # stable: of equally frequent values the first by code
            return counts.argsort(descending=True, stable=True)[: self.top_k]
        order = occurring[torch.randperm(len(occurring), generator=generator)]
        if self.target_share is None:
            return order[:wanted]
        reached = _reached(attribute, train, order) >= self.target_share * len(train)
        if not reached.any():
            raise ConfigError(
                f"target_share={self.target_share} cannot be reached: all values of "
                f"{self.attribute} together are those of fewer training samples"
            )
        # argmax of 0 and 1 is where the first 1 is; torch has none for bool
        return order[: int(reached.int().argmax()) + 1]


def _check_range(bounds: Sequence[float | None]) -> None:
    numbers = [bound for bound in bounds if bound is not None]
    wrong = isinstance(bounds, str) or len(bounds) != 2
    if wrong or not numbers or numbers != sorted(numbers):
        raise ConfigError(
            f"value_range must be [low, high] with low <= high, one of which may be null, "
            f"got {bounds!r}"
        )


def _check_nested(attribute: Column, pool: Pool) -> None:
    if attribute.kind != "category":
        raise ConfigError("attribute must have one name per sample to divide classes")
    codes, classes = attribute.values.cpu(), label_codes(pool)
    # each (value, class) once, so that a value counts as often as it has classes
    pairs = torch.stack([codes, classes], dim=1)[codes >= 0].unique(dim=0)
    values, counts = pairs[:, 0].unique(return_counts=True)
    if (counts > 1).any():
        first = int(values[counts > 1][0])
        raise ConfigError(
            f"attribute must divide classes into subclasses, but its value "
            f"{attribute.names[first]!r} occurs in {int(counts[counts > 1][0])} classes; "
            f"split=attribute does not ask for that"
        )


def _counts(attribute: Column, train: Tensor) -> Tensor:
    """Return the number of training samples per value, ``(K,)``."""
    values = attribute.values.cpu()[train]
    if attribute.kind == "set":
        return values.sum(dim=0)
    return torch.bincount(values[values >= 0], minlength=len(attribute.names))


def _reached(attribute: Column, train: Tensor, order: Tensor) -> Tensor:
    """Return how many training samples have one of the first k values of ``order``, ``(K,)``."""
    values = attribute.values.cpu()[train]
    if attribute.kind == "set":
        members = values[:, order]
        # position in order of the first value of each sample; bincount and cumsum count up
        first = members.int().argmax(dim=1)[members.any(dim=1)]
    else:
        # left unset where a value does not occur in training, where it is not read either
        rank = torch.empty(len(attribute.names), dtype=torch.int64)
        rank[order] = torch.arange(len(order))
        first = rank[values[values >= 0]]
    return torch.bincount(first, minlength=len(order)).cumsum(0)
