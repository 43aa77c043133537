"""One clear error for data that cannot be fetched."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from erasure.core.errors import DataError, ErasureError

BROKEN = (OSError, RuntimeError, ValueError, KeyError, EOFError, HTTPException)
"""What libraries raise when a file is missing, cut, altered, or a server does not answer."""


@contextmanager
def fetching(name: str, source: str, folder: Path, by_hand: str) -> Iterator[None]:
    """Turn whatever a library raises while it fetches or reads into one message.

    Args:
        name: Name of the data set.
        source: Where it comes from, such as ``torchvision`` or a hub id.
        folder: Folder in which the library looks for files.
        by_hand: Which files to put there when they cannot be downloaded.

    Raises:
        DataError: Saying what failed, why, and where files may be placed by hand.
    """
    try:
        yield
    except ErasureError:
        raise
    except BROKEN as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise DataError(
            f"{name} could not be loaded from {source}: {reason}. Without a network, put "
            f"{by_hand} into {folder} (data.root says where data lie)"
        ) from error
