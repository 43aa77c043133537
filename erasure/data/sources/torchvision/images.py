"""Every classification data set of torchvision, by the name of its class."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from erasure.core.columns import Column
from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError
from erasure.core.pool import Pool
from erasure.core.task_types import Multilabel
from erasure.data.pools.labelled import NOWHERE
from erasure.data.pools.rows import Rows
from erasure.data.sources.imaging import ImageSettings, array_rows, file_rows, image_pool
from erasure.data.sources.prepared import Prepared, prepared
from erasure.data.sources.torchvision.files import explained, stamp
from erasure.data.sources.torchvision.labels import Columns, columns_of
from erasure.data.sources.torchvision.parts import OfficialPart, open_parts, torchvision_root
from erasure.data.sources.torchvision.pixels import pictures_of


@dataclass(frozen=True, kw_only=True)
class TorchvisionImages(ImageSettings):
    """A data set of ``torchvision.datasets``.

    The parts its authors have fixed are put one below the other in the order train, val, test.
    Labels, columns, and pictures that are not in files of their own, are read once and kept
    below ``data_config.prepared``; the library is not even imported after that. With
    ``data_config.verify = False`` they are read anew when a file has changed.

    Args:
        resize: As in :class:`ImageSettings`, and so are the eight after it.
        channels: 1, 3 or null.
        mean: By channel.
        std: By channel.
        crop: Largest shift in pixels.
        flip: Mirror half of the time.
        brightness: Strength of random changes of it.
        contrast: Likewise.
        saturation: Likewise.
        name: Name of the class, such as ``CIFAR10``.
        target: Column to predict: null for the classes, another column, or a list of columns
            of two values each, which makes several labels per sample.
        options: Further arguments of the class, such as ``{split: letters}`` of EMNIST.
        parts: Arguments of the class by part, ``{train: {split: extra}, test: {split: test}}``;
            null for the usual ones.

    Raises:
        ConfigError: If a setting is wrong.
        DataError: If files are missing or damaged.
    """

    name: str
    target: str | Sequence[str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.name.isidentifier():
            raise ConfigError(f"name must be a class of torchvision.datasets, got {self.name!r}")
        if self.target is not None and not self.target:
            raise ConfigError(
                f"target must be a column, a list of them or null, got {self.target}"
            )

    def __call__(self, data_config: DataConfig) -> Pool:
        """Return the pool: pictures ``(C, H, W)``, uint8 until they are fetched."""
        # opened at most once, by whichever of the two below needs it first, or not at all
        opened = cache(lambda: open_parts(self.name, self.options, self.parts, data_config))
        entry = prepared(
            data_config,
            self.name.lower(),
            self._causes(data_config, opened),
            lambda: _read(self.name, opened(), torchvision_root(data_config)),
        )
        labels = _labels(_columns(entry), self.target) | {
            "official": entry.tensors.get("official")
        }
        rows = self._rows(data_config, entry)
        return image_pool(data_config, self.name.lower(), rows, self, labels)

    def _causes(self, data_config: DataConfig, opened: Callable[[], object]) -> Mapping[str, Any]:
        """Return what the content of the files and how they are read depend on."""
        # verified files are the same everywhere, so that only unverified ones need a stamp
        version = "verified"
        root = torchvision_root(data_config)
        if not data_config.verify:
            version = stamp(root, self.name)
            if not version:
                opened()  # fetches, or explains what is missing
                version = stamp(root, self.name)
        parts = {part: dict(settings) for part, settings in (self.parts or {}).items()}
        return {
            "name": self.name,
            "options": dict(self.options),
            "parts": parts,
            "version": version,
        }

    def _rows(self, data_config: DataConfig, entry: Prepared) -> Rows:
        # pictures in files of their own stay there, and only their names are kept
        if "pictures" in entry.tensors:
            return array_rows(entry.tensors["pictures"], self.form, entry.key)
        root = torchvision_root(data_config)
        files = [root / file for file in entry.properties["files"]]
        return file_rows(files, self.form, entry.key)


def _read(name: str, parts: Sequence[OfficialPart], root: Path) -> Prepared:
    """Read labels, columns and, where they are not in files, pictures."""
    datasets = [part.dataset for part in parts]
    with explained(name, root):
        columns = columns_of(name, datasets)
        pictures = pictures_of(name, datasets)
    tensors = {f"column.{key}": column.values for key, column in columns.columns.items()}
    codes = [torch.full((len(part.dataset),), part.code, dtype=torch.int8) for part in parts]
    official = torch.cat(codes)
    if not bool((official == NOWHERE).all()):
        tensors["official"] = official
    properties: dict[str, Any] = {
        "main": columns.main,
        "names": {key: list(column.names) for key, column in columns.columns.items()},
    }
    if isinstance(pictures, Tensor):
        tensors["pictures"] = pictures
    else:
        properties["files"] = [str(file.relative_to(root)) for file in pictures]
    return Prepared(tensors, properties)


def _columns(entry: Prepared) -> Columns:
    columns = {
        name: Column(entry.tensors[f"column.{name}"], tuple(names))
        for name, names in entry.properties["names"].items()
    }
    return Columns(columns, entry.properties["main"])


def _labels(available: Columns, target: str | Sequence[str] | None) -> dict[str, Any]:
    """Return targets, their names, the task, and the other columns as attributes."""
    if target is None or isinstance(target, str):
        chosen = target or available.main
        column = _column(available, chosen)
        return {
            "targets": column.values,
            "class_names": column.names,
            "attributes": {
                name: other
                for name, other in available.columns.items()
                # CelebA has no column of classes; its target stays an attribute to split by
                if name != chosen or available.main is None
            },
        }
    columns = [_column(available, name) for name in target]
    for name, column in zip(target, columns, strict=True):
        if len(column.names) != 2:
            raise ConfigError(
                f"target must list columns of two values each, {name} has {len(column.names)}"
            )
    return {
        "targets": torch.stack([column.values for column in columns], dim=1),
        "class_names": tuple(target),
        "attributes": dict(available.columns),
        "task_type": Multilabel(),
    }


def _column(available: Columns, name: str | None) -> Column:
    if name is None or name not in available.columns:
        names = ", ".join(available.columns)
        raise ConfigError(f"target must be among the columns {names}, got {name!r}")
    return available.columns[name]
