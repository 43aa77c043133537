"""The data of a trial, by any way to choose what is forgotten."""

from torch import Generator

from erasure.core.pool import Pool
from erasure.core.protocols import PreparingSplit, SplitStrategy
from erasure.core.trial_data import TrialData, plain_data


def prepare(strategy: SplitStrategy, pool: Pool, generator: Generator) -> TrialData:
    """Return the data that ``strategy`` leaves; most strategies only divide them.

    Args:
        strategy: Chooses the parts, and may alter the data or delete some.
        pool: The data as they were loaded.
        generator: What it draws from.
    """
    if isinstance(strategy, PreparingSplit):
        return strategy.prepare(pool, generator)
    return plain_data(pool, strategy(pool, generator))
