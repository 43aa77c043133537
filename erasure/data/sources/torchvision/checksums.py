"""Which files the classes of torchvision download, and with which checksums, by their own word."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

ARCHIVES = (".bz2", ".gz", ".tar", ".tgz", ".xz", ".zip")

_MD5 = re.compile(r"[0-9a-f]{32}")


def known_files(cls: type, root: Path) -> list[Path]:
    """Return the files below ``root`` that ``cls`` would download, by their names.

    What it would unpack is not among them, unless it has a checksum of its own. They are in the
    order in which the class names them.
    """
    order = {name: index for index, name in enumerate(_strings(cls))}

    def position(file: Path) -> int | None:
        # Omniglot and INaturalist know the name of an archive without its suffix
        by_stem = order.get(file.stem) if file.suffix in ARCHIVES else None
        return order.get(file.name, by_stem)

    files = [(position(file), file) for file in root.rglob("*") if file.is_file()]
    return [file for _, file in sorted((p, file) for p, file in files if p is not None)]


def damaged_files(cls: type, root: Path) -> list[str]:
    """Return files whose names ``cls`` knows, but whose checksums are none of those it knows."""
    from torchvision.datasets.utils import calculate_md5

    checksums = {value for value in _strings(cls) if _MD5.fullmatch(value)}
    if not checksums:
        return []
    return [str(f) for f in known_files(cls, root) if calculate_md5(f) not in checksums]


def without_checksums(cls: type) -> type:
    """Return ``cls`` with none of the checksums that it compares files with.

    Checksums that are written into a method, such as those of GTSRB, are compared even so, but
    only when an archive is unpacked.
    """
    attributes = {
        name: _without_md5(value)
        # from the farthest base on, so that a class overrides what it inherits; the last is object
        for base in reversed(cls.__mro__[:-1])
        for name, value in vars(base).items()
        if isinstance(value, (str, list, tuple, dict)) and not name.startswith("__")
    }
    # of the same name, because it is the name of the folder of MNIST and its kin
    return type(cls.__name__, (cls,), attributes)


def _strings(cls: type) -> list[str]:
    """Return the strings in the attributes of a class and in its methods; of addresses the file.

    Names of files and their checksums stand where the authors of a class put them: in a list or
    dictionary of the class or its module, or in the middle of ``download``.
    """
    constants = {k: v for k, v in vars(sys.modules[cls.__module__]).items() if k.isupper()}
    attributes = [value for base in cls.__mro__[:-1] for value in vars(base).values()]
    return list(dict.fromkeys(_strings_in([*attributes, *constants.values()])))


def _strings_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        # of an address the name of its file
        yield value.rpartition("/")[2]
    elif isinstance(value, FunctionType):
        # constants of a method hold what is written in its body, such as an address in download
        yield from _strings_in(value.__code__.co_consts)
    elif isinstance(value, dict):
        yield from _strings_in([*value, *value.values()])
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _strings_in(inner)


def _without_md5(value: Any) -> Any:
    if isinstance(value, str):
        return None if _MD5.fullmatch(value) else value
    if isinstance(value, dict):
        return {key: _without_md5(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_without_md5(inner) for inner in value)
    return value
