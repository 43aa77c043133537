"""Checksums of files."""

import hashlib
from pathlib import Path


def file_checksum(path: Path) -> str:
    """Return the BLAKE2b hash of the bytes of ``path``, 32 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
