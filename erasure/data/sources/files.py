"""Tables in files of one's own: CSV and Parquet."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, DataError, ErasureError
from erasure.data.frames.table import TableSettings
from erasure.data.pools.tabular import TabularPool

if TYPE_CHECKING:
    import pandas as pd

PARQUET = (".parquet", ".pq")


@dataclass(frozen=True, kw_only=True)
class TableFile(TableSettings):
    """A table in a CSV or Parquet file, with names of columns in its first row.

    Args:
        target: Column of the classes.
        features: Columns that models read; null takes all that are nothing else.
        categories: Columns that are categories although they hold numbers.
        attributes: Columns that only splits read.
        ignore: Columns that are not used.
        unknown: Texts that mean a missing value.
        missing: What is done about a missing feature.
        path: The file; one that ends in ``.parquet`` or ``.pq`` is Parquet, any other is CSV,
            which may be compressed (``.gz``, ``.zip``, ``.xz``).
        official: Column that says which part a sample has: train, val or test (or 0, 1, 2).
        separator: What stands between two values of a CSV file.
    """

    path: str
    official: str | None = None
    separator: str = ","

    def __call__(self, data_config: DataConfig) -> TabularPool:
        """Return the table; it is read again when the content of the file has changed."""
        path = existing(self.path)
        source = {
            "content": content(path),
            # the same bytes are read in another way under another suffix
            "suffix": path.suffix,
            "official": self.official,
            "separator": self.separator,
        }
        return self.load(
            data_config, path.stem, source, lambda: self.pool(self._frame(path), self.official)
        )

    def _frame(self, path: Path) -> "pd.DataFrame":
        import pandas as pd

        with reading(path):
            if path.suffix in PARQUET:
                return pd.read_parquet(path)
            return pd.read_csv(
                path,
                sep=self.separator,
                skipinitialspace=True,
                low_memory=False,  # types are those of whole columns, not of pieces of them
            )


def existing(path: str) -> Path:
    """Return the file at ``path``.

    Raises:
        ConfigError: If there is none.
    """
    file = Path(path)
    if not file.is_file():
        raise ConfigError(f"path must be an existing file, got {path} ({file.absolute()})")
    return file


def content(path: Path) -> str:
    """Return a hash of the content of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:32]


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever a library raises while it reads ``path`` into one message.

    Raises:
        DataError: Saying which file it was, and why.
    """
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty")
    try:
        yield
    except ErasureError:
        raise
    except Exception as error:  # each format has errors of its own, down to its compression
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise DataError(f"{path} could not be read: {reason}") from error
