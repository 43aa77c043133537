"""Finding samples by class or by attribute, with errors that name what there is."""

from collections.abc import Sequence
from difflib import get_close_matches

from torch import Tensor

from erasure.core.columns import Column
from erasure.core.errors import ConfigError
from erasure.core.types import Pool


def column(pool: Pool, name: str, setting: str) -> Column:
    """Return the attribute ``name`` of a pool.

    Raises:
        ConfigError: If there is none; ``setting`` is what the configuration calls it.
    """
    if name in pool.attributes:
        return pool.attributes[name]
    known = ", ".join(sorted(pool.attributes)) or "none"
    close = get_close_matches(name, list(pool.attributes), n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ConfigError(
        f"{setting} must be an attribute of the data set, which has {known}, got {name!r}{hint}"
    )


def of_classes(pool: Pool, wanted: Sequence[int | str], setting: str = "classes") -> Tensor:
    """Return which samples have one of the classes ``wanted``, ``(N,)`` bool on the CPU.

    Args:
        pool: The data.
        wanted: Class names or numbers; a name wins over a number.
        setting: What the configuration calls ``wanted``.

    Raises:
        ConfigError: If there is no such class.
    """
    targets = pool.targets.cpu()
    if targets.ndim == 2:
        return Column(targets.bool(), pool.class_names).having(wanted, setting, "classes")
    return Column(targets, pool.class_names).having(wanted, setting, "classes")


def shown(wanted: Sequence[object]) -> str:
    """Return a list of values for a message, shortened."""
    return str(list(wanted[:6]))[:-1] + (", ...]" if len(wanted) > 6 else "]")
