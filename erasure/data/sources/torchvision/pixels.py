"""Where the classes of torchvision keep their pictures."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from erasure.core.errors import DataError
from erasure.data.sources.torchvision.celeba import celeba_files


def pictures_of(name: str, datasets: Sequence[Any]) -> Tensor | list[Path]:
    """Return the pictures of all parts: ``(N, C, H, W)`` uint8, or their files where there are.

    Raises:
        DataError: If the pictures have different sizes and are not in files.
    """
    files_by_part = [_files(name, dataset) for dataset in datasets]
    if all(files is not None for files in files_by_part):
        return [file for files in files_by_part for file in files or ()]
    arrays = [_array(name, dataset) for dataset in datasets]
    if len({tuple(array.shape[1:]) for array in arrays}) > 1:
        raise DataError(f"the parts of {name} have pictures of different sizes")
    return torch.cat(arrays)


def _files(name: str, dataset: Any) -> list[Path] | None:
    if name in _FILES:
        return _FILES[name](dataset)
    for attribute in ("_image_files", "_images", "samples", "_samples", "imgs", "data"):
        items = getattr(dataset, attribute, None)
        if isinstance(items, list) and items and len(items) == len(dataset):
            files = [item[0] if isinstance(item, tuple) else item for item in items]
            if isinstance(files[0], str | Path):
                return [Path(file) for file in files]
    return None


def _array(name: str, dataset: Any) -> Tensor:
    """Return the pictures a class holds in memory, or decodes one by one."""
    data = getattr(dataset, "data", None)
    if isinstance(data, Tensor | np.ndarray) and len(data) == len(dataset):
        return _channels_first(name, torch.as_tensor(data))
    pictures = [np.asarray(dataset[number][0]) for number in range(len(dataset))]
    if len({picture.shape for picture in pictures}) != 1:
        raise DataError(f"{name} has pictures of different sizes, which cannot be one tensor")
    return _channels_first(name, torch.from_numpy(np.stack(pictures)))


def _channels_first(name: str, data: Tensor) -> Tensor:
    """Bring ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)`` to the last of these."""
    if data.dtype != torch.uint8:
        raise DataError(f"{name} must have pictures of bytes, got {data.dtype}")
    if data.ndim == 3:
        return data.unsqueeze(1).contiguous()
    # channels first is asked first; a picture one or three pixels high would be taken for it
    if data.ndim == 4 and data.shape[1] in (1, 3):
        return data.contiguous()
    if data.ndim == 4 and data.shape[3] in (1, 3):
        return data.permute(0, 3, 1, 2).contiguous()
    raise DataError(f"{name} must have pictures of one or three channels, got {tuple(data.shape)}")


def _caltech101(dataset: Any) -> list[Path]:
    folder = Path(dataset.root) / "101_ObjectCategories"
    labels_and_numbers = zip(dataset.y, dataset.index, strict=True)
    return [
        folder / dataset.categories[y] / f"image_{number:04d}.jpg"
        for y, number in labels_and_numbers
    ]


def _caltech256(dataset: Any) -> list[Path]:
    folder = Path(dataset.root) / "256_ObjectCategories"
    labels_and_numbers = zip(dataset.y, dataset.index, strict=True)
    return [
        # files are numbered from 001 by class, labels from 0
        folder / dataset.categories[y] / f"{y + 1:03d}_{number:04d}.jpg"
        for y, number in labels_and_numbers
    ]


def _inaturalist(dataset: Any) -> list[Path]:
    folder = Path(dataset.root)
    return [folder / dataset.all_categories[species] / file for species, file in dataset.index]


_FILES: Mapping[str, Callable[[Any], list[Path]]] = {
    "Caltech101": _caltech101,
    "Caltech256": _caltech256,
    "CelebA": celeba_files,
    "INaturalist": _inaturalist,
}
"""Classes that make up the name of a file when it is asked for."""
