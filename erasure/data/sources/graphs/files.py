"""The files that graph data sets come as, in the folders where PyTorch Geometric looks for them.

Files are downloaded next to their place and moved there when all are complete. What PyTorch
Geometric makes of them and keeps, ``processed/data.pt``, is neither read nor written.
"""

import pickle
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from uuid import uuid4
from zipfile import ZipFile

import torch
from filelock import FileLock

from erasure.core.columns import Column
from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, DataError
from erasure.data.pools.graphs import GraphPool
from erasure.data.sources.files import content, reading
from erasure.data.sources.prepared import Prepared

TIMEOUT = 60.0
"""Seconds without an answer after which a server counts as silent."""

HARMLESS = frozenset(
    {
        # __builtin__ and copy_reg are names of Python 2, by which the files were written
        ("__builtin__", "list"),
        ("__builtin__", "object"),
        ("_codecs", "encode"),
        ("builtins", "list"),
        ("builtins", "object"),
        ("collections", "defaultdict"),
        ("copy_reg", "_reconstructor"),
        ("copyreg", "_reconstructor"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("scipy.sparse._csr", "csr_matrix"),
        ("scipy.sparse.csr", "csr_matrix"),
    }
)
"""All that the pickles of Planetoid need to be made of."""


def present(
    data_config: DataConfig, folder: Path, needed: Sequence[str], fetch: Callable[[Path], None]
) -> Mapping[str, str]:
    """Make sure that the files ``needed`` are in ``folder`` and return their hashes.

    Args:
        data_config: Whether anything may be downloaded.
        folder: Where the files belong.
        needed: Names of files without which nothing works.
        fetch: Downloads all files into an empty folder.

    Returns:
        Hash of every file that is there, by name.

    Raises:
        FileNotFoundError: If one is missing and may not be, or was not, downloaded.
    """
    if _missing(folder, needed) and data_config.download:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if _missing(folder, needed):
                _complete(folder, fetch)
    missing = _missing(folder, needed)
    if missing:
        raise FileNotFoundError(
            f"{', '.join(missing)} missing, data.download={data_config.download}"
        )
    return {file.name: content(file) for file in sorted(folder.iterdir()) if file.is_file()}


def download(url: str, folder: Path) -> Path:
    """Download ``url`` into ``folder`` and return the file."""
    file = folder / url.rpartition("/")[2]
    with urlopen(url, timeout=TIMEOUT) as answer, file.open("wb") as opened:
        shutil.copyfileobj(answer, opened)
    return file


def unzipped(archive: Path) -> None:
    """Put the files of ``archive``, from whatever folders, next to it, and remove it."""
    with reading(archive), ZipFile(archive) as opened:
        for member in opened.infolist():
            if not member.is_dir():
                with opened.open(member) as inside:
                    (archive.parent / Path(member.filename).name).write_bytes(inside.read())
    archive.unlink()


def packed_graphs(
    data_config: DataConfig, entry: Prepared, names: Sequence[str], *, edge_features: bool
) -> GraphPool:
    """Return the pool of prepared graphs; they stay in memory where they are too many for a GPU.

    Args:
        data_config: Where they go.
        entry: ``x``, ``edge_index``, ``edge_attr`` if there is one, ``node_ptr``, ``edge_ptr``,
            ``targets``, ``line`` if there is one; and, as a fact, ``class_names``.
        names: Names of the classes, if not those.
        edge_features: Whether ``edge_attr`` is used.

    Raises:
        ConfigError: If there is none, or not a name per class.
    """
    tensors = dict(entry.tensors)
    class_names = entry.properties["class_names"]
    if names and len(names) != len(class_names):
        raise ConfigError(f"class_names must be {len(class_names)} names, got {list(names)}")
    if not edge_features:
        tensors.pop("edge_attr", None)
    elif "edge_attr" not in tensors:
        raise ConfigError("edge_features must be false, the edges of this data set have none")
    targets, line = tensors.pop("targets").to(data_config.device), tensors.pop("line", None)
    size = sum(part.numel() * part.element_size() for part in tensors.values())
    device = data_config.device if data_config.fits(size) else torch.device("cpu")
    bonds = tensors.get("edge_attr")
    return GraphPool(
        x=tensors["x"].to(device),
        edge_index=tensors["edge_index"].to(device),
        node_ptr=tensors["node_ptr"].to(device),
        edge_ptr=tensors["edge_ptr"].to(device),
        edge_attr=None if bonds is None else bonds.to(device),
        targets=targets,
        class_names=tuple(names or class_names),
        attributes={} if line is None else {"line": Column(line)},
    )


def refuse_foreign(file: Path) -> None:
    """Read a pickle of arrays, and refuse one that holds, or does, anything else.

    Raises:
        DataError: If it names a class or function that is not among the harmless ones, or is
            damaged.
    """
    with reading(file), file.open("rb") as opened:
        # the bytes of arrays are text in pickles of Python 2; latin1 gives each byte back
        _Harmless(opened, encoding="latin1").load()


class _Harmless(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in HARMLESS:
            raise DataError(
                f"a file of arrays asks for {module}.{name}, which may do anything; it is refused"
            )
        return super().find_class(module, name)


def _missing(folder: Path, needed: Sequence[str]) -> list[str]:
    return [name for name in needed if not (folder / name).is_file()]


def _complete(folder: Path, fetch: Callable[[Path], None]) -> None:
    """Download beside ``folder``, then add to it what it does not have."""
    partial = folder.with_name(f".{folder.name}-{uuid4().hex[:8]}")
    partial.mkdir()
    try:
        fetch(partial)
        folder.mkdir(exist_ok=True)
        for file in partial.iterdir():
            if not (folder / file.name).exists():
                file.rename(folder / file.name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
