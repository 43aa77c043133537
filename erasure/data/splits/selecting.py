"""Finding samples by class or by attribute, with errors that name what there is."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import torch
from torch import Generator, Tensor

from erasure.core.columns import Column
from erasure.core.errors import ConfigError
from erasure.core.pool import Pool


def column(pool: Pool, name: str, setting: str) -> Column:
    """Return the attribute ``name`` of a pool.

    Raises:
        ConfigError: If there is none; ``setting`` is what the configuration calls it.
    """
    return named(pool.attributes, name, setting)


def named(columns: Mapping[str, Column], name: str, setting: str) -> Column:
    """Return the column ``name``.

    Raises:
        ConfigError: If there is none; ``setting`` is what the configuration calls it.
    """
    if name in columns:
        return columns[name]
    names = ", ".join(sorted(columns)) or "none"
    close = get_close_matches(name, list(columns), n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ConfigError(
        f"{setting} must be an attribute of the data set, which has {names}, got {name!r}{hint}"
    )


def labels(pool: Pool) -> Column:
    """Return the classes of a pool as a column, on the CPU."""
    targets = pool.targets.cpu()
    return Column(targets.bool() if targets.ndim == 2 else targets, pool.class_names)


def label_codes(pool: Pool) -> Tensor:
    """Return one number per sample ``(N,)``: its class, or that of its set of labels."""
    targets = pool.targets.cpu()
    return targets if targets.ndim == 1 else targets.unique(dim=0, return_inverse=True)[1]


def of_classes(pool: Pool, wanted: Sequence[int | str], setting: str = "classes") -> Tensor:
    """Return which samples have one of the classes ``wanted``, ``(N,)`` bool on the CPU.

    Args:
        pool: The data.
        wanted: Class names or numbers; a name wins over a number.
        setting: What the configuration calls ``wanted``.

    Raises:
        ConfigError: If there is no such class.
    """
    return labels(pool).having(wanted, setting, "classes")


def in_proportion(ids: Tensor, codes: Tensor, size: int, generator: Generator) -> Tensor:
    """Draw ``size`` of ``ids`` (n,) with each code in its proportion, rounded.

    Seats are dealt by the divisor method of Sainte-Lague: the r-th sample of a class of n comes
    at ``(r + 1/2) / n``. Unlike largest remainders it is monotone, so that what a larger size
    draws contains what a smaller one does.

    Args:
        ids: Sample ids.
        codes: Class of every sample of the pool, ``(N,)``.
        size: How many to draw, at most n.
        generator: Where the draws come from; their number does not depend on ``size``.
    """
    order = ids[torch.randperm(len(ids), generator=generator)]
    # positions in the random order, class by class; stable, so that within a class it stays random
    by_class = codes[order].argsort(stable=True)
    counts = codes[order].unique(return_counts=True)[1]
    # where each class begins there, once for each of its members
    starts = (counts.cumsum(0) - counts).repeat_interleave(counts)
    position = torch.empty(len(order), dtype=torch.float64)
    within = torch.arange(len(order)) - starts
    position[by_class] = (within.double() + 0.5) / counts.repeat_interleave(counts)
    return order[position.argsort(stable=True)[:size]]


def shown(wanted: Sequence[object]) -> str:
    """Return a list of values for a message, shortened."""
    return str(list(wanted[:6]))[:-1] + (", ...]" if len(wanted) > 6 else "]")
