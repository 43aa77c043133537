"""Files of torchvision: fetched whole or not at all, checked, and named when damaged.

The library downloads and unpacks into a folder beside the one it reads from, and what came of it
is moved there only when the library could open it. Nothing of the library is replaced.
"""

import lzma
import os
import pickle
import shutil
import socket
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from erasure.core.errors import DataError
from erasure.core.fingerprint import fingerprint
from erasure.data.sources.fetching import BROKEN, fetching
from erasure.data.sources.torchvision.checksums import ARCHIVES, damaged_files, known_files

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

# format makes single braces of double ones, which people know from the shell
_MNIST = ("{name}/raw/{{train,t10k}}-{{images-idx3,labels-idx1}}-ubyte.gz", "{name}/raw/*")
_FILES = {
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
    # hidden ones, such as those of a file manager, are not of the data set
    files = sorted(path for path in root.glob(_patterns(name)[1]) if path.name[0] != ".")
    stats = [(path, path.stat()) for path in files]
    properties = [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in stats]
    return fingerprint(properties) if properties else ""


@contextmanager
def aside(cls: type, root: Path) -> Iterator[Path]:
    """Give the library an empty folder in place of ``root``, and move what is in it afterwards.

    Archives of the data set that were placed by hand in ``root`` are in the folder too, so that
    they are used. If the block raises, ``root`` stays as it was.

    Args:
        cls: The class of ``torchvision.datasets``.
        root: The folder of torchvision.

    Yields:
        The folder beside ``root``, on the same disk, so that moving is renaming.
    """
    partial = root.parent / f".{root.name}-{uuid4().hex[:8]}"
    partial.mkdir(parents=True)
    try:
        for file in known_files(cls, root):
            _bring(file, partial / file.relative_to(root))
        with _patient(), _inside_folder():
            _unpack_celeba(cls, partial)
            yield partial
        for entry in sorted(partial.iterdir()):
            _move(entry, root / entry.name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def explained(name: str, root: Path, verified: type | None = None) -> Iterator[None]:
    """Turn whatever torchvision raises in the block into one message.

    Args:
        name: Name of the class.
        root: The folder of torchvision.
        verified: The class, if its files had to have the checksums that it knows.

    Raises:
        DataError: Saying what failed, which file is damaged, where files may be placed by hand.
    """
    with fetching(name, "torchvision", root, _patterns(name)[0]):
        try:
            yield
        except (*BROKEN, *MALFORMED) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            damaged = [] if verified is None else damaged_files(verified, root)
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
            # of a kind that fetching explains
            raise RuntimeError(reason) from error


def _patterns(name: str) -> tuple[str, str]:
    """Return what to place by hand, for people, and a pattern of all files, of a data set."""
    by_hand, pattern = _FILES.get(name, _UNKNOWN)
    return by_hand.format(name=name), pattern.format(name=name)


def _bring(file: Path, copy: Path) -> None:
    """Make ``file`` appear under another name, without a second copy of an archive.

    The library writes into an archive that is there only if its checksum is wrong. With a hard
    link one of many gigabytes costs nothing, and no good one is ever written into. Other files
    may be unpacked over and are copied.
    """
    copy.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix in ARCHIVES:
        with suppress(OSError):  # some file systems have no hard links
            os.link(file, copy)
            return
    shutil.copy2(file, copy)


def _unpack_celeba(cls: Any, folder: Path) -> None:
    """Unpack CelebA, whose class asks for a download tool even if nothing is to be downloaded."""
    from torchvision.datasets import utils

    archive = folder / "celeba" / "img_align_celeba.zip"
    if cls.__name__ == "CelebA" and archive.is_file():
        checksum = next(md5 for _, md5, name in cls.file_list if name == archive.name)
        if utils.check_integrity(archive, checksum):
            utils.extract_archive(archive)


@contextmanager
def _patient() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextmanager
def _inside_folder() -> Iterator[None]:
    """Let no name in a tar archive lead out of the folder; the default from Python 3.14 on."""
    # from the class itself: through getattr a static method would come back as a function
    before = tarfile.TarFile.__dict__.get("extraction_filter")
    tarfile.TarFile.extraction_filter = staticmethod(tarfile.data_filter)
    try:
        yield
    finally:
        tarfile.TarFile.extraction_filter = before


def _move(entry: Path, target: Path) -> None:
    # renaming onto a folder that holds something is refused, so it is filled one by one
    if entry.is_dir() and target.is_dir():
        for inner in sorted(entry.iterdir()):
            _move(inner, target / inner.name)
    else:
        entry.replace(target)
