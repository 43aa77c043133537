"""Forget in several requests, made one after the other."""

from dataclasses import dataclass, replace

import torch
from torch import Generator

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.pool import Pool
from erasure.core.protocols import SplitStrategy
from erasure.core.splits import SplitIndices
from erasure.core.trial_data import TrialData
from erasure.data.splits.prepared import prepare


@dataclass(frozen=True, kw_only=True)
class Sequential:
    """Divide what another strategy forgets into requests of equal size, in random order.

    Each request starts from the model that the one before left, and its retain set has all that
    was not asked for yet. Requests of your own making are files of ids: ``split=ids
    split.path=[first.txt,second.txt]``.

    Args:
        inner: The strategy that says what is forgotten in the end; its choice is not changed.
        requests: Number of requests; sizes differ by one sample at most.
    """

    inner: SplitStrategy
    requests: int = 5

    def __post_init__(self) -> None:
        if self.requests < 2:
            raise ConfigError(f"requests must be >= 2, got {self.requests}")

    def __call__(self, pool: Pool, generator: Generator) -> SplitIndices:
        """Split as ``inner`` does, then order its forget set.

        Raises:
            ConfigError: If there are fewer samples to forget than requests.
        """
        return self._ordered(self.inner(pool, generator), generator)

    def prepare(self, pool: Pool, generator: Generator) -> TrialData:
        """Do to the data what ``inner`` does, and order its forget set.

        Raises:
            ConfigError: If there are fewer samples to forget than requests.
            UnsupportedError: If samples that stay look different after each request.
        """
        data = prepare(self.inner, pool, generator)
        if data.deletes:
            raise UnsupportedError(
                "several requests need samples that stay as they are, but this split deletes "
                "parts of a graph; use a single request, or split.inner.unit=label"
            )
        return replace(data, indices=self._ordered(data.indices, generator))

    def _ordered(self, indices: SplitIndices, generator: Generator) -> SplitIndices:
        size = len(indices.forget)
        if size < self.requests:
            raise ConfigError(
                f"requests must be <= {size}, the samples to forget, got {self.requests}"
            )
        # after all draws of inner, whose choice is thereby the same as without requests
        order = indices.forget[torch.randperm(size, generator=generator)]
        return replace(indices, requests=tuple(order.tensor_split(self.requests)))
