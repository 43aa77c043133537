"""The superclasses of CIFAR-100, which torchvision reads over."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from erasure.core.columns import Column
from erasure.core.errors import DataError


def coarse_labels(datasets: Sequence[Any]) -> Column:
    """Return the 20 superclasses of the samples of ``datasets``, instances of ``CIFAR100``.

    The library has just compared the files with their checksums; even so they are read with
    nothing but arrays allowed.

    Raises:
        DataError: If a file has no superclasses.

    References:
        A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    folder = Path(datasets[0].root) / datasets[0].base_folder
    names = _read(folder / datasets[0].meta["filename"], "coarse_label_names")
    labels: list[int] = []
    for dataset in datasets:
        files = dataset.train_list if dataset.train else dataset.test_list
        for file, _ in files:
            labels += _read(folder / file, "coarse_labels")
    return Column(torch.tensor(labels), tuple(names))


def _read(file: Path, key: str) -> list[Any]:
    with file.open("rb") as opened:
        content = _Plain(opened, encoding="latin1").load()
    if not isinstance(content, dict) or key not in content:
        raise DataError(f"{file} has no {key}; it is not a file of CIFAR-100")
    return list(content[key])


class _Plain(pickle.Unpickler):
    """Reads plain values and numpy arrays, and refuses everything that could run."""

    _ALLOWED = frozenset(
        [("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")]
        + [
            # numpy 2 calls it numpy._core; a file asks for that of the version that wrote it
            (f"numpy.{core}.{module}", name)
            for core in ("core", "_core")
            for module, name in (("multiarray", "_reconstruct"), ("numeric", "_frombuffer"))
        ]
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of labels")
        return super().find_class(module, name)
