"""Preprocessed data, made once and kept as tensors and plain JSON."""

import glob
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from filelock import FileLock
from torch import Tensor

from erasure.core.data_config import DataConfig
from erasure.core.errors import DataError
from erasure.core.fingerprint import RESULTS_VERSION, fingerprint
from erasure.core.source import source_hash


@dataclass(frozen=True)
class Prepared:
    """What came out of preprocessing.

    Args:
        tensors: By name.
        properties: Plain JSON data: names of classes, of columns.
        key: Hash-bearing name of the entry, empty before it is one.
    """

    tensors: Mapping[str, Tensor]
    properties: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""


def prepared(
    data_config: DataConfig, name: str, settings: Mapping[str, Any], make: Callable[[], Prepared]
) -> Prepared:
    """Return what ``make`` returns, from the folder of prepared data if it is there already.

    Processes that ask at once wait for one of them. An entry is written under another name and
    renamed, so that there is never half of one.

    Args:
        data_config: Where the folder is.
        name: Name of the data set, for people.
        settings: Plain JSON data that hold all else that the result depends on: source,
            revision, columns. The code behind ``make`` is added.
        make: Loads and preprocesses.

    Raises:
        DataError: If an entry is there but cannot be read.
    """
    causes = {"settings": dict(settings), "code": source_hash(make), "version": RESULTS_VERSION}
    folder = data_config.prepared / f"{name}-{fingerprint(causes)[:16]}"
    # asked before the lock, which most calls never need, and again once it is held
    if not folder.is_dir():
        data_config.prepared.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.is_dir():
                _write(folder, make())
    return _read(folder)


def _read(folder: Path) -> Prepared:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        properties = json.loads((folder / "properties.json").read_text(encoding="utf-8"))
        return Prepared(load_file(folder / "tensors.safetensors"), properties, folder.name)
    except (OSError, ValueError, SafetensorError) as error:
        raise DataError(
            f"the prepared data in {folder} are damaged ({error}); delete that folder and run "
            f"again, and they are made anew"
        ) from error


def _write(folder: Path, made: Prepared) -> None:
    from safetensors.torch import save_file

    for left in folder.parent.glob(f".{glob.escape(folder.name)}-*"):
        shutil.rmtree(left, ignore_errors=True)  # of a process that was killed: the lock is ours
    partial = folder.with_name(f".{folder.name}-{os.getpid()}-{uuid4().hex[:8]}")
    partial.mkdir()
    try:
        tensors = {name: value.detach().cpu().contiguous() for name, value in made.tensors.items()}
        save_file(tensors, partial / "tensors.safetensors")
        (partial / "properties.json").write_text(json.dumps(made.properties), encoding="utf-8")
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
