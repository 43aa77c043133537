"""What every choice of a forget set has in common: a base split, and copies that were missed."""

import logging
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import torch
from torch import Generator, Tensor

from erasure.core.errors import ConfigError
from erasure.core.pool import Pool
from erasure.core.splits import SplitIndices
from erasure.data.splits.duplicates import copies
from erasure.data.splits.holdout import Holdout

log = logging.getLogger(__name__)

Policy = Literal["ignore", "warn", "error", "move"]


@dataclass(frozen=True, kw_only=True)
class Forgetting:
    """A split strategy: the base split, then a choice among its training samples.

    A strategy fills in :meth:`choose`, and :meth:`population` if what it forgets is a population
    of which there are held-out samples as well.

    Args:
        base: The base split. It is drawn first and does not depend on what is forgotten.
        duplicates: What to do about copies of forget samples among the other samples: ``warn``
            says how many there are, ``move`` forgets those in the training set as well, ``error``
            refuses, ``ignore`` does not look.
        near: Besides equal samples, those count as copies whose sketches have a cosine of at
            least this; null compares contents only.
    """

    base: Holdout = field(default_factory=Holdout)
    duplicates: Policy = "warn"
    near: float | None = None

    def __post_init__(self) -> None:
        if self.duplicates not in ("ignore", "warn", "error", "move"):
            raise ConfigError(
                f"duplicates must be ignore, warn, error or move, got {self.duplicates!r}"
            )
        if self.near is not None and not 0.0 < self.near <= 1.0:
            raise ConfigError(f"near must be in (0, 1] or null, got {self.near}")
        self.validate()

    def validate(self) -> None:
        """Refuse settings that cannot work; called when the strategy is made."""

    def settled(self, pool: Pool, train: Tensor, generator: Generator) -> Self:
        """Return the strategy with what it draws by name decided, such as which people."""
        del pool, train, generator
        return self

    @abstractmethod
    def choose(self, pool: Pool, train: Tensor, generator: Generator) -> Tensor:
        """Return which of the training samples ``train`` (n,) to forget, in any order."""

    def population(self, pool: Pool) -> Tensor | None:
        """Return which samples of the pool are of the forgotten population, ``(N,)`` bool."""
        del pool
        return None

    def requests(self, forget: Tensor) -> tuple[Tensor, ...]:
        """Return the forget set in the order in which it is asked for, if in several requests."""
        del forget
        return ()

    def scenario(self, pool: Pool) -> Mapping[str, Any]:
        """Return what a metric may need to know about this choice, as plain data."""
        del pool
        return {}

    def __call__(self, pool: Pool, generator: Generator) -> SplitIndices:
        """Split ``pool``."""
        # drawn before anything else, so that parts are the same whatever is forgotten
        train, val, test = self.base(pool, generator)
        strategy = self.settled(pool, train, generator)
        forget = strategy.choose(pool, train, generator)
        if len(forget) == 0:
            raise ConfigError(f"this choice selects none of {len(train)} training samples")
        forget = self._with_copies(pool, forget, train, torch.cat([val, test]))
        retain = train[~torch.isin(train, forget)]
        if len(retain) == 0:
            raise ConfigError(
                f"this choice selects all {len(train)} training samples: nothing is retained"
            )
        return SplitIndices(
            forget=forget,
            retain=retain,
            val=val,
            test=test,
            same_population=_same_population(strategy.population(pool), torch.cat([val, test])),
            requests=strategy.requests(forget),
            scenario=strategy.scenario(pool),
        )

    def _with_copies(self, pool: Pool, forget: Tensor, train: Tensor, heldout: Tensor) -> Tensor:
        if self.duplicates == "ignore":
            return forget
        retain = train[~torch.isin(train, forget)]
        stay, held = (copies(pool, forget, ids, self.near) for ids in (retain, heldout))
        if len(stay) == len(held) == 0:
            return forget
        kind = "copies" if self.near is None else f"copies or near copies (cosine {self.near})"
        counts_text = (
            f"{len(stay)} of {len(retain)} retained and {len(held)} of {len(heldout)} held-out"
        )
        if self.duplicates == "error":
            raise ConfigError(
                f"duplicates: {counts_text} samples are {kind} of samples to forget; "
                f"duplicates=move forgets those in the training set as well, warn goes on"
            )
        if self.duplicates == "move":
            log.warning(
                "%s samples are %s of samples to forget; the former are forgotten as well",
                counts_text,
                kind,
            )
            # held-out copies stay where they are: val and test must not depend on the forget set
            return torch.cat([forget, stay])
        log.warning(
            "%s samples are %s of samples to forget (split.duplicates=move forgets the former)",
            counts_text,
            kind,
        )
        return forget


def _same_population(population: Tensor | None, heldout: Tensor) -> Tensor | None:
    return None if population is None else heldout[population[heldout]].sort().values
