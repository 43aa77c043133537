"""Files of torchvision: fetched whole or not at all, checked, and told by name when damaged."""

import lzma
import os
import pickle
import shutil
import socket
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

from erasure.core.errors import DataError
from erasure.core.fingerprint import fingerprint
from erasure.data.sources.fetching import BROKEN, fetching

PATIENCE = 30.0
"""Seconds without an answer after which a server counts as not reachable."""

MALFORMED = (
    AssertionError,
    IndexError,
    TypeError,
    lzma.LZMAError,
    pickle.UnpicklingError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What torchvision raises, besides errors of the system, when a file is not what it should be."""

_MNIST = ("{name}/raw/{{train,t10k}}-{{images-idx3,labels-idx1}}-ubyte.gz", "{name}/raw/*")
_PLACES = {
    "CIFAR10": ("cifar-10-python.tar.gz", "cifar-10-batches-py/*"),
    "CIFAR100": ("cifar-100-python.tar.gz", "cifar-100-python/*"),
    "CelebA": (
        "celeba/img_align_celeba.zip and celeba/{{list_attr_celeba,identity_CelebA,"
        "list_bbox_celeba,list_landmarks_align_celeba,list_eval_partition}}.txt",
        "celeba/*",
    ),
    "Country211": ("country211.tgz", "country211/*/*"),
    "EMNIST": ("EMNIST/raw/gzip.zip", "EMNIST/raw/*"),
    "FashionMNIST": _MNIST,
    "Food101": ("food-101.tar.gz", "food-101/*/*"),
    "KMNIST": _MNIST,
    "MNIST": _MNIST,
    "QMNIST": (
        "QMNIST/raw/qmnist-{{train,test}}-{{images-idx3-ubyte,labels-idx2-int}}.gz",
        "QMNIST/raw/*",
    ),
    "STL10": ("stl10_binary.tar.gz", "stl10_binary/*"),
    "SVHN": ("train_32x32.mat and test_32x32.mat", "*_32x32.mat"),
}
_UNKNOWN = ("the files that torchvision.datasets.{name} reads", "*/*")


def stamp(root: Path, name: str) -> str:
    """Return a hash of names, sizes and times of the files of a data set; empty without any."""
    found = sorted(path for path in root.glob(_place(name)[1]) if path.name[0] != ".")
    stats = [(path, path.stat()) for path in found]
    properties = [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in stats]
    return fingerprint(properties) if properties else ""


@contextmanager
def reading(name: str, module: ModuleType, root: Path, *, verify: bool) -> Iterator[None]:
    """Let torchvision fetch and read below ``root``, with errors that say what to do.

    While the block runs, downloads and archives are written beside their place and moved there
    when they are whole; names in an archive cannot lead out of the folder; and an archive placed
    by hand is used even where torchvision asks for a download tool first.

    Args:
        name: Name of the class.
        module: Where it is defined.
        root: The folder of torchvision.
        verify: Compare files with the checksums that torchvision knows; otherwise any file of
            the right name will do.

    Raises:
        DataError: Saying what failed, which file is damaged, where files may be placed by hand.
    """
    damaged: list[str] = []
    with explained(name, root, damaged), ExitStack() as changes:
        _patch(changes, module, _replacements(damaged, verify=verify))
        changes.callback(socket.setdefaulttimeout, socket.getdefaulttimeout())
        socket.setdefaulttimeout(PATIENCE)
        yield


@contextmanager
def explained(name: str, root: Path, damaged: Sequence[str] = ()) -> Iterator[None]:
    """Turn whatever torchvision raises in the block into one message.

    Args:
        name: Name of the class.
        root: The folder of torchvision.
        damaged: Files whose checksum was wrong when the error happened.

    Raises:
        DataError: Saying what failed, which file is damaged, where files may be placed by hand.
    """
    with fetching(name, "torchvision", root, _place(name)[0]):
        try:
            yield
        except (*BROKEN, *MALFORMED) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            if damaged:
                raise DataError(
                    f"{name}: {damaged[0]} is damaged, its checksum is not the one torchvision "
                    f"knows; fetching it anew did not help ({reason[:200]}). Delete or replace "
                    f"it; data.verify=false takes it as it is"
                ) from error
            if isinstance(error, MALFORMED):
                raise DataError(
                    f"{name}: a file below {root} is damaged or not of its format ({reason[:300]})"
                ) from error
            raise RuntimeError(reason) from error


def _place(name: str) -> tuple[str, str]:
    by_hand, pattern = _PLACES.get(name, _UNKNOWN)
    return by_hand.format(name=name), pattern.format(name=name)


def _replacements(damaged: list[str], *, verify: bool) -> dict[str, Any]:
    from torchvision.datasets import utils

    check, drive = utils.check_integrity, utils.download_file_from_google_drive

    def checked(fpath: str | Path, md5: str | None = None) -> bool:
        present = Path(fpath).is_file()
        fine = present and (not verify or check(fpath, md5))
        if present and not fine:
            damaged.append(str(fpath))
        return fine

    def from_drive(
        file_id: str, root: str | Path, filename: str | None = None, md5: str | None = None
    ) -> None:
        if not checked(Path(root) / (filename or file_id), md5):
            drive(file_id, root, filename, md5)

    return {
        "check_integrity": checked,
        "download_file_from_google_drive": from_drive,
        "extract_archive": _whole_archive(utils.extract_archive),
        "list_dir": _in_order(utils.list_dir),
        "list_files": _in_order(utils.list_files),
        "_urlretrieve": _whole_file(utils._urlretrieve),
    }


def _patch(changes: ExitStack, module: ModuleType, replacements: dict[str, Any]) -> None:
    """Replace functions in the module and where it gets them from, until ``changes`` close."""
    from torchvision.datasets import utils

    for place in (utils, module):
        for name, replacement in replacements.items():
            if hasattr(place, name):
                changes.callback(setattr, place, name, getattr(place, name))
                setattr(place, name, replacement)
    before = tarfile.TarFile.__dict__.get("extraction_filter")
    changes.callback(setattr, tarfile.TarFile, "extraction_filter", before)
    tarfile.TarFile.extraction_filter = staticmethod(tarfile.data_filter)


def _whole_file(retrieve: Callable[..., None]) -> Callable[..., None]:
    """Write a download beside its place and rename it, so that there is never half of it."""

    def retrieved(url: str, filename: str | Path, *settings: Any) -> None:
        partial = Path(f"{filename}.{uuid4().hex[:8]}.partial")
        try:
            retrieve(url, partial, *settings)
            partial.replace(filename)
        finally:
            partial.unlink(missing_ok=True)

    return retrieved


def _whole_archive(extract: Callable[..., Any]) -> Callable[..., str]:
    """Unpack beside the place; then put there every new folder, and every file of an old one."""

    def extracted(from_path: str | Path, to_path: str | Path | None = None, *settings: Any) -> str:
        place = Path(to_path or Path(from_path).parent)
        partial = place / f".unpacking-{uuid4().hex[:8]}"
        partial.mkdir(parents=True)
        try:
            extract(str(from_path), str(partial), *settings)
            for entry in sorted(partial.iterdir()):
                _move(entry, place / entry.name)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return os.fspath(place)

    return extracted


def _in_order(listing: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """List a folder by name, not in the order of the file system."""

    def listed(*arguments: Any) -> list[str]:
        return sorted(listing(*arguments))

    return listed


def _move(entry: Path, place: Path) -> None:
    if entry.is_dir() and place.is_dir():
        for inner in sorted(entry.iterdir()):
            _move(inner, place / inner.name)
    else:
        entry.replace(place)
