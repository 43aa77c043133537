"""Forget samples that were trained on under swapped labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Generator, Tensor

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.fingerprint import combine, tensor_fingerprint
from erasure.core.pool import Pool
from erasure.core.splits import SplitIndices
from erasure.core.trial_data import TrialData, altered_data, plain_data
from erasure.data.pools.through import Through
from erasure.data.splits.drawn import check_amount
from erasure.data.splits.forgetting import Forgetting
from erasure.data.splits.selecting import labels


@dataclass(frozen=True, kw_only=True)
class ConfusionForget(Forgetting):
    """Swap the labels of some samples of two classes before training, and forget these samples.

    An original trained on them confuses the two classes, on held-out samples too; a method that
    forgets them has to undo that. As many samples are swapped in one class as in the other, so
    that the sizes of the classes stay what they are. Labels of held-out samples are true.

    Args:
        base: The base split.
        duplicates: What to do about copies.
        near: When samples count as near copies.
        classes: The two classes, by number or name.
        fraction: Share of the training samples of the smaller class that is swapped in each of
            the two, in (0, 1); give this or ``count``.
        count: Number of samples in both classes together; even.

    References:
        S. Goel, A. Prabhu, A. Sanyal, S.-N. Lim, P. Torr, P. Kumaraguru, "Towards Adversarial
        Evaluations for Inexact Machine Unlearning", 2022, arXiv:2201.06640.
    """

    classes: Sequence[int | str]
    fraction: float | None = 0.5
    count: int | None = None

    def validate(self) -> None:
        """Refuse other than two classes and amounts out of range."""
        # as text, since 3 and "3" name one class
        if isinstance(self.classes, str) or len(set(map(str, self.classes))) != 2:
            raise ConfigError(f"classes must be two classes such as [3, 5], got {self.classes!r}")
        check_amount(self.fraction, self.count)
        if self.count is not None and self.count % 2:
            raise ConfigError(f"count must be even, half for each class, got {self.count}")

    def choose(self, pool: Pool, train: Tensor, generator: Generator) -> Tensor:
        """Draw equally many training samples of both classes; more contain fewer."""
        targets = pool.targets.cpu()
        # beginnings of one random order are taken on both sides: it does not depend on the amount
        order = train[torch.randperm(len(train), generator=generator)]
        sides = [order[targets[order] == code] for code in self._codes(pool)]
        smaller = min(len(side) for side in sides)
        each = round((self.fraction or 0) * smaller) if self.count is None else self.count // 2
        if not 0 < each <= smaller:
            setting = "fraction" if self.count is None else "count"
            raise ConfigError(
                f"{setting}={self.fraction if self.count is None else self.count} swaps {each} "
                f"training samples per class, of which the smaller has {smaller}"
            )
        return torch.cat([side[:each] for side in sides])

    def scenario(self, pool: Pool) -> Mapping[str, Any]:
        """Name the two classes, by number."""
        return {"kind": "confusion", "classes": self._codes(pool)}

    def prepare(self, pool: Pool, generator: Generator) -> TrialData:
        """Divide ``pool``, then swap the labels of the forget set.

        There are no probes: what is confused shows on the held-out parts themselves.
        """
        data = plain_data(pool, self(pool, generator))
        return altered_data(data, swapped(data.pool, data.indices), probes={})

    def _codes(self, pool: Pool) -> list[int]:
        classes = labels(pool)
        if classes.kind == "set":
            raise UnsupportedError(
                "labels can be swapped where every sample has one class, which this data set "
                "has not; use another split, such as random"
            )
        codes = [classes.code(wanted, "classes", "classes") for wanted in self.classes]
        if codes[0] == codes[1]:
            raise ConfigError(f"classes must be two different classes, got {self.classes!r}")
        return codes


def swapped(pool: Pool, indices: SplitIndices) -> Pool:
    """Return ``pool`` with the two classes of ``indices.scenario`` swapped in the forget set."""
    first, second = indices.scenario["classes"]
    ids = indices.forget.to(pool.targets.device)
    before = pool.targets[ids]
    after = torch.where(before == first, second, torch.where(before == second, first, before))
    return Relabelled(pool, pool.targets.index_copy(0, ids, after))


@dataclass(frozen=True)
class Relabelled(Through):
    """A pool under other labels.

    Args:
        pool: The pool looked through.
        labels: The labels, shaped like those of the pool.
    """

    labels: Tensor

    @property
    def targets(self) -> Tensor:
        """The other labels."""
        return self.labels

    @cached_property
    def fingerprint(self) -> str:
        """Hash of pool and labels."""
        return combine([self.pool.fingerprint, tensor_fingerprint(self.labels)])
