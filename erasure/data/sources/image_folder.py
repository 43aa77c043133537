"""Pictures of one's own: a folder with a subfolder for every class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from erasure.core.data_config import DataConfig
from erasure.core.errors import DataError
from erasure.core.pool import Pool
from erasure.data.pools.labelled import NOWHERE, TEST, TRAIN, VAL
from erasure.data.pools.rows import files_stamp
from erasure.data.sources.imaging import ImageSettings, file_rows, image_pool

SUFFIXES = frozenset(
    (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),
)
"""Endings of the files that are pictures; others are not looked at."""

_PARTS = {"train": TRAIN, "val": VAL, "valid": VAL, "validation": VAL, "test": TEST}


@dataclass(frozen=True, kw_only=True)
class ImageFolder(ImageSettings):
    """Pictures in ``path/<class>/...`` or in ``path/<part>/<class>/...``.

    Parts are called train, val (or valid, validation) and test; they count as the official
    split. Samples are numbered part by part, class by class, in the order of their names.

    Args:
        resize: As in :class:`ImageSettings`, and so are the eight after it.
        channels: 1, 3 or null, which means 3.
        mean: By channel.
        std: By channel.
        crop: Largest shift in pixels.
        flip: Mirror half of the time.
        brightness: Strength of random changes of it.
        contrast: Likewise.
        saturation: Likewise.
        path: The folder; a relative one is below ``data.root``.

    Raises:
        ConfigError: If a setting is wrong.
        DataError: If there is no such folder, a class is empty, or a picture cannot be read.
    """

    path: str

    def __call__(self, data_config: DataConfig) -> Pool:
        """Return the pool: pictures ``(C, H, W)``, uint8 until they are fetched."""
        folder = data_config.root / self.path
        if not folder.is_dir():
            raise DataError(
                f"{folder} is not a folder (dataset.path; relative paths start at data.root)"
            )
        parts = _parts(folder)
        names = sorted({inner.name for part in parts for inner in _folders(part)})
        files: list[Path] = []
        labels: list[int] = []
        codes: list[int] = []
        for part, code in parts.items():
            for inner in _folders(part):
                pictures = _pictures(inner)
                files += pictures
                labels += [names.index(inner.name)] * len(pictures)
                codes += [code] * len(pictures)
        official = None if NOWHERE in codes else torch.tensor(codes, dtype=torch.int8)
        rows = file_rows(files, self.form, files_stamp(files, self.form.plain))
        columns = {
            "targets": torch.tensor(labels),
            "class_names": tuple(names),
            "official": official,
        }
        return image_pool(data_config, "image_folder", rows, self, columns)


def _parts(folder: Path) -> Mapping[Path, int]:
    """Return the folders that hold folders of classes, in the order train, val, test."""
    inner = _folders(folder)
    if not inner:
        raise DataError(f"{folder} must have a subfolder for every class, it has none")
    named = all(part.name in _PARTS and _folders(part) for part in inner)
    if not named or "train" not in {part.name for part in inner}:
        return {folder: NOWHERE}
    # names in the order of the table: train, val and its other names, test
    order = list(_PARTS)
    return {
        part: _PARTS[part.name] for part in sorted(inner, key=lambda part: order.index(part.name))
    }


def _folders(folder: Path) -> Sequence[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")


def _pictures(folder: Path) -> Sequence[Path]:
    """Return the pictures of a class, those in folders inside its folder included."""
    pictures = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not pictures:
        raise DataError(
            f"{folder} is a class without pictures; delete the folder, or add files that end in "
            f"{', '.join(sorted(SUFFIXES))}"
        )
    return pictures
