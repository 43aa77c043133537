"""Forget sets by explicit sample ids, in the configuration or in files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor

from erasure.core.errors import ConfigError, DataError
from erasure.core.pool import Pool
from erasure.data.splits.forgetting import Forgetting
from erasure.data.splits.selecting import shown

READABLE = (".txt", ".csv", ".npy", ".safetensors")
"""Endings of files that hold ids."""


@dataclass(frozen=True, kw_only=True)
class IdsForget(Forgetting):
    """Forget the samples with given ids.

    Several files are several requests, made one after the other in this order. Copies that
    ``duplicates=move`` adds belong to the last one.

    Args:
        base: The base split.
        duplicates: What to do about copies.
        near: When samples count as near copies.
        ids: Sample ids; give this or ``path``.
        path: A file of ids, or several: ``txt`` with one id per line, ``csv`` with a column
            ``id`` or a single column, ``npy``, or ``safetensors`` with a tensor ``ids`` or
            ``forget``.
    """

    ids: Sequence[int] | None = None
    path: str | Sequence[str] | None = None

    def validate(self) -> None:
        """Refuse both or neither of ids and path."""
        if (not self.ids) == (not self.path):
            raise ConfigError(
                f"ids and path exclude each other: set one and make the other null, "
                f"got ids={self.ids} and path={self.path}"
            )

    def choose(self, pool: Pool, train: Tensor, generator: Generator) -> Tensor:
        """Return the ids, once they are known to be training samples, each there once."""
        del generator
        wanted = torch.cat(self._lists())
        setting = "ids" if self.path is None else "path"
        values, counts = wanted.unique(return_counts=True)
        _refuse(values[counts > 1], "twice or more", wanted, setting)
        total = len(pool.targets)
        _refuse(wanted[(wanted < 0) | (wanted >= total)], f"not in [0, {total})", wanted, setting)
        outside = wanted[~torch.isin(wanted, train)]
        _refuse(outside, "not in the training set, which is all that was learned", wanted, setting)
        return wanted

    def requests(self, forget: Tensor) -> tuple[Tensor, ...]:
        """Return one request per file, if there are several."""
        lists = self._lists()
        if len(lists) == 1:
            return ()
        added = forget[~torch.isin(forget, torch.cat(lists))]
        return (*lists[:-1], torch.cat([lists[-1], added]))

    def _lists(self) -> list[Tensor]:
        if self.path is None:
            return [torch.tensor(self.ids, dtype=torch.int64)]
        paths = [self.path] if isinstance(self.path, str) else self.path
        return [read_ids(Path(path)) for path in paths]


def read_ids(path: Path) -> Tensor:
    """Return the ids ``(n,)`` int64 in a file; nothing that a file says is executed.

    Raises:
        ConfigError: If there is no such file or its ending is not known.
        DataError: If it does not hold whole numbers.
    """
    if path.suffix not in READABLE:
        raise ConfigError(f"path must end in {', '.join(READABLE)}, got {path}")
    if not path.is_file():
        raise ConfigError(f"path must be a file of ids, there is none at {path}")
    try:
        ids = _READERS[path.suffix](path)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} cannot be read as a list of ids: {error}") from error
    if ids.is_floating_point() or ids.dtype == torch.bool or ids.ndim != 1:
        raise DataError(
            f"{path} must hold a list of whole numbers, got {ids.dtype} of shape "
            f"{tuple(ids.shape)}"
        )
    return ids.long()


def tensors_in(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Raises:
        ValueError: If it is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _from_text(path: Path) -> Tensor:
    return torch.tensor(
        [int(word) for word in path.read_text(encoding="utf-8").split()], dtype=torch.int64
    )


def _from_csv(path: Path) -> Tensor:
    import pandas as pd

    table = pd.read_csv(path)
    if "id" not in table and len(table.columns) > 1:
        raise KeyError(f"no column id among {', '.join(map(str, table.columns))}")
    values = table["id"] if "id" in table else table.iloc[:, 0]
    # without a header, pandas takes the first id for the name of the column, and it would be lost
    if "id" not in table and str(values.name).strip().isdigit():
        raise ValueError("the first line must name the column")
    # pandas may give out memory that must not be written to, which torch does not accept silently
    return torch.from_numpy(values.to_numpy().copy())


def _from_numpy(path: Path) -> Tensor:
    import numpy as np

    return torch.from_numpy(np.load(path, allow_pickle=False))


def _from_safetensors(path: Path) -> Tensor:
    tensors = tensors_in(path)
    names = [name for name in ("ids", "forget") if name in tensors]
    if not names:
        raise KeyError(f"no tensor ids or forget among {', '.join(tensors)}")
    return tensors[names[0]]


_READERS = {
    ".txt": _from_text,
    ".csv": _from_csv,
    ".npy": _from_numpy,
    ".safetensors": _from_safetensors,
}


def _refuse(wrong: Tensor, why: str, wanted: Tensor, setting: str) -> None:
    if len(wrong):
        raise ConfigError(
            f"{setting} must be training samples, each named once; {len(wrong)} of "
            f"{len(wanted)} are {why}, for example {shown(wrong.tolist())}"
        )
