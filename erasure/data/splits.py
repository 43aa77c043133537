"""Which samples are trained on, held out, and to be forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import torch
from torch import Generator, Tensor

from erasure.core.errors import ConfigError
from erasure.core.splits import SplitIndices
from erasure.core.types import Pool


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """The base split: draw test, then val, stratified by class; the rest is the training set.

    It knows nothing about forgetting, so one original model serves every forget set of a sweep.

    Args:
        test: Share of all samples, in (0, 1).
        val: Share of what is left after test, in (0, 1).
    """

    test: float = 0.2
    val: float = 0.1

    def __post_init__(self) -> None:
        for name in ("test", "val"):
            share = getattr(self, name)
            if not 0.0 < share < 1.0:
                raise ConfigError(f"{name} must be in (0, 1), got {share}")

    def __call__(self, pool: Pool, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return the ids of train, val and test."""
        every = torch.arange(len(pool.targets))
        rest, test = stratified(every, pool.targets.cpu(), self.test, generator)
        train, val = stratified(rest, pool.targets.cpu(), self.val, generator)
        return train, val, test


@dataclass(frozen=True, kw_only=True)
class RandomForget:
    """Forget training samples drawn at random.

    Args:
        base: The base split.
        fraction: Share of the training set, in (0, 1); give this or ``count``.
        count: Number of samples.
    """

    base: Holdout = field(default_factory=Holdout)
    fraction: float | None = 0.1
    count: int | None = None

    def __post_init__(self) -> None:
        if (self.fraction is None) == (self.count is None):
            raise ConfigError(
                f"fraction and count exclude each other: set one and make the other null, "
                f"got fraction={self.fraction} and count={self.count}"
            )
        if self.fraction is not None and not 0.0 < self.fraction < 1.0:
            raise ConfigError(f"fraction must be in (0, 1), got {self.fraction}")
        if self.count is not None and self.count < 1:
            raise ConfigError(f"count must be >= 1, got {self.count}")

    def __call__(self, pool: Pool, generator: Generator) -> SplitIndices:
        """Split ``pool``."""
        train, val, test = self.base(pool, generator)
        size = self._size(len(train))
        order = train[torch.randperm(len(train), generator=generator)]
        return SplitIndices(forget=order[:size], retain=order[size:], val=val, test=test)

    def _size(self, available: int) -> int:
        if self.count is not None:
            if self.count >= available:
                raise ConfigError(
                    f"count must be < {available}, the size of the training set, got {self.count}"
                )
            return self.count
        size = round((self.fraction or 0.0) * available)
        if not 0 < size < available:
            raise ConfigError(
                f"fraction={self.fraction} of {available} training samples forgets {size}; "
                f"it must leave at least one sample to forget and one to retain"
            )
        return size


@dataclass(frozen=True, kw_only=True)
class ClassForget:
    """Forget whole classes, or a random share of each.

    Args:
        classes: Class numbers or names.
        base: The base split.
        share: Share of the training samples of each class, in (0, 1].
    """

    classes: Sequence[int | str]
    base: Holdout = field(default_factory=Holdout)
    share: float = 1.0

    def __post_init__(self) -> None:
        if not self.classes or isinstance(self.classes, str):
            raise ConfigError(f"classes must be a list such as [3], got {self.classes!r}")
        if not 0.0 < self.share <= 1.0:
            raise ConfigError(f"share must be in (0, 1], got {self.share}")

    def __call__(self, pool: Pool, generator: Generator) -> SplitIndices:
        """Split ``pool``."""
        wanted = sorted({_class_number(name, pool) for name in self.classes})
        train, val, test = self.base(pool, generator)
        if len(wanted) == pool.num_classes and self.share == 1.0:
            raise ConfigError(f"classes names all {pool.num_classes} classes: nothing is retained")
        chosen = train[torch.isin(pool.targets.cpu()[train], torch.tensor(wanted))]
        if self.share < 1.0:
            _, chosen = stratified(chosen, pool.targets.cpu(), self.share, generator)
        if len(chosen) == 0:
            raise ConfigError(
                f"classes={list(self.classes)} with share={self.share} selects none of "
                f"{len(train)} training samples"
            )
        retain = train[~torch.isin(train, chosen)]
        return SplitIndices(forget=chosen, retain=retain, val=val, test=test)


def stratified(
    ids: Tensor, targets: Tensor, share: float, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Part ``ids`` (n,) into the rest and ``share`` of them, class by class.

    The second part has exactly ``round(share * n)`` members; what rounding leaves over goes to
    the classes with the largest remainders.

    Returns:
        The ids that stay and the ids that were drawn, each in ascending order.
    """
    order = ids[torch.randperm(len(ids), generator=generator)]
    labels = targets[order]
    classes, counts = labels.unique(return_counts=True)
    exact = counts.double() * share
    sizes = exact.floor().long()
    missing = round(share * len(ids)) - int(sizes.sum())
    sizes[torch.argsort(exact - sizes, descending=True, stable=True)[:missing]] += 1
    drawn = torch.zeros(len(order), dtype=torch.bool)
    for label, size in zip(classes.tolist(), sizes.tolist(), strict=True):
        drawn[(labels == label).nonzero().flatten()[:size]] = True
    return order[~drawn].sort().values, order[drawn].sort().values


def _class_number(name: int | str, pool: Pool) -> int:
    if isinstance(name, str) and name in pool.class_names:
        return pool.class_names.index(name)
    if isinstance(name, int) and 0 <= name < pool.num_classes:
        return name
    close = get_close_matches(str(name), pool.class_names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    shown = ", ".join(pool.class_names[:12]) + (", ..." if pool.num_classes > 12 else "")
    raise ConfigError(
        f"classes must be among the {pool.num_classes} classes {shown} "
        f"(by number or name), got {name!r}{hint}"
    )
