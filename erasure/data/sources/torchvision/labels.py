"""Classes and further columns of the data sets of torchvision, read without decoding."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from erasure.core.columns import Column
from erasure.core.errors import DataError
from erasure.data.frames.numbering import numbered
from erasure.data.sources.torchvision.celeba import celeba_columns
from erasure.data.sources.torchvision.cifar import coarse_labels

CLASS = "class"
"""Name of the column of classes where the data set has no better one."""


@dataclass(frozen=True)
class Columns:
    """What a data set says about its samples.

    Args:
        columns: By name, each of N rows.
        main: The column that holds the classes, if there is one.
    """

    columns: Mapping[str, Column]
    main: str | None


def columns_of(name: str, datasets: Sequence[Any]) -> Columns:
    """Return the columns of the parts ``datasets``, one below the other.

    Raises:
        DataError: If labels are not whole numbers, or parts have different classes.
    """
    if name == "CelebA":
        return Columns(celeba_columns(datasets), None)
    names = _names(name, datasets)
    labels = torch.cat([_labels(name, dataset) for dataset in datasets])
    if name == "QMNIST":
        return Columns({CLASS: _classes(name, labels[:, 0], names), **_writers(labels)}, CLASS)
    if name == "EMNIST" and names[:1] == ("N/A",):
        labels, names = labels - 1, names[1:]  # the letters are numbered from one
    classes = _classes(name, labels, names)
    if name == "CIFAR100":
        return Columns({"fine": classes, "coarse": coarse_labels(datasets)}, "fine")
    return Columns({CLASS: classes}, CLASS)


def _classes(name: str, labels: Tensor, names: tuple[str, ...]) -> Column:
    if labels.ndim != 1 or not len(labels):
        raise DataError(f"{name} must have one label per sample, got {tuple(labels.shape)}")
    low, high = int(labels.min()), int(labels.max())
    if not names:
        names = tuple(str(number) for number in range(high + 1))
    if low < 0 or high >= len(names):
        raise DataError(
            f"{name} must have labels in [0, {len(names) - 1}], got {low} to {high}; samples "
            f"without a label cannot be learned from"
        )
    return Column(labels, names)


def _writers(labels: Tensor) -> Mapping[str, Column]:
    """Return who wrote each digit, from the extended labels of QMNIST (N, 8)."""
    return {"writer": numbered(labels[:, 2])}


def _labels(name: str, dataset: Any) -> Tensor:
    """Return the labels as the class keeps them, int64, in one pass over pictures if it must."""
    values = _taxa(dataset) if name == "INaturalist" else _kept(dataset)
    if values is None:
        values = [dataset[number][1] for number in range(len(dataset))]
    labels = values if isinstance(values, Tensor) else _tensor(name, values)
    if labels.is_floating_point() or labels.is_complex():
        raise DataError(f"{name} must have labels that are whole numbers, got {labels.dtype}")
    return labels.long()


def _kept(dataset: Any) -> Any:
    # under these names classes of torchvision keep labels, as lists, arrays or tensors
    for attribute in ("targets", "labels", "_labels", "y"):
        values = getattr(dataset, attribute, None)
        if values is not None and len(values) == len(dataset):
            return values
    for attribute in ("samples", "_samples"):
        pairs = getattr(dataset, attribute, None)
        if pairs is not None and len(pairs) == len(dataset):
            return [label for _, label in pairs]
    return None


def _taxa(dataset: Any) -> list[int]:
    """Return species, or the rank above them that was asked for, of pictures of iNaturalist."""
    rank = dataset.target_type[0]
    if rank == "full":
        return [species for species, _ in dataset.index]
    return [dataset.categories_map[species][rank] for species, _ in dataset.index]


def _tensor(name: str, labels: Any) -> Tensor:
    import numpy as np

    try:
        array = np.asarray(labels)
        # torch has few unsigned types; as int64 all of them fit
        if array.dtype == np.uint8 or np.issubdtype(array.dtype, np.integer):
            array = array.astype(np.int64)
        return torch.from_numpy(array)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} must have labels that are whole numbers: {error}") from error


def _names(name: str, datasets: Sequence[Any]) -> tuple[str, ...]:
    names_by_part = [_names_of(dataset) for dataset in datasets]
    if any(names != names_by_part[0] for names in names_by_part):
        raise DataError(f"the parts of {name} have different classes")
    return names_by_part[0]


def _names_of(dataset: Any) -> tuple[str, ...]:
    ranks = getattr(dataset, "target_type", None) or ["full"]
    if ranks[0] in (getattr(dataset, "categories_index", None) or {}):
        return tuple(dataset.categories_index[ranks[0]])
    for attribute in ("classes", "categories", "all_categories"):
        names = getattr(dataset, attribute, None)
        if names:
            return tuple(", ".join(n) if isinstance(n, tuple) else str(n) for n in names)
    code_by_name = getattr(dataset, "class_to_idx", None) or {}
    return tuple(str(name) for name in sorted(code_by_name, key=code_by_name.__getitem__))
