"""Tables of OpenML, through scikit-learn."""

import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, DataError
from erasure.data.frames.table import TableSettings
from erasure.data.pools.tabular import TabularPool
from erasure.data.sources.fetching import fetching


@dataclass(frozen=True, kw_only=True)
class OpenMl(TableSettings):
    """A table of OpenML, pinned by its version or by its number there.

    ``target`` and ``features`` are those that OpenML names unless they are set. scikit-learn
    keeps what it fetches in ``<data.root>/openml/`` and compares it with its checksum.

    Args:
        target: Column of the classes.
        features: Columns that models read.
        categories: Columns that are categories although they hold numbers.
        attributes: Columns that only splits read.
        ignore: Columns that are not used.
        unknown: Texts that mean a missing value.
        missing: What is done about a missing feature.
        name: Name of the data set; give this and ``version``, or ``data_id``.
        version: Its version.
        data_id: Its number at OpenML, which stands for one version.

    References:
        J. Vanschoren et al., "OpenML: networked science in machine learning", 2013,
        arXiv:1407.7722.
    """

    name: str | None = None
    version: int | None = None
    data_id: int | None = None

    def __post_init__(self) -> None:
        if (self.name is None) == (self.data_id is None):
            raise ConfigError(
                f"name and data_id exclude each other: set one and make the other null, "
                f"got name={self.name} and data_id={self.data_id}"
            )
        if (self.name is None) != (self.version is None):
            raise ConfigError(
                f"version must be a number with name, which then stands for the same data for "
                f"ever, and null with data_id, got {self.version}"
            )

    def __call__(self, data_config: DataConfig) -> TabularPool:
        """Return the table."""
        source = {"name": self.name, "version": self.version, "data_id": self.data_id}
        return self.load(
            data_config, f"openml-{self._asked}", source, lambda: self._read(data_config)
        )

    @property
    def _asked(self) -> str:
        return str(self.data_id) if self.name is None else f"{self.name}-{self.version}"

    def _read(self, data_config: DataConfig) -> TabularPool:
        fetched = self._fetched(data_config)
        targets = list(fetched.target_names)
        target = self.target or (targets[0] if len(targets) == 1 else None)
        if target is None:
            raise ConfigError(f"target must be named, OpenML knows {len(targets)}: {targets}")
        chosen = self.features
        if chosen is None:
            taken = {target, *self.attributes, *self.ignore}
            # OpenML leaves out of these what is no feature, such as numbers of rows
            chosen = [name for name in fetched.feature_names if name not in taken]
        return replace(self, target=target, features=chosen).pool(fetched.frame)

    def _fetched(self, data_config: DataConfig) -> Any:
        from sklearn.datasets import fetch_openml

        what = (
            {"data_id": self.data_id}
            if self.name is None
            else {"name": self.name, "version": self.version}
        )
        folder = data_config.root / "openml"
        by_hand = "a copy of that folder from a machine that has one"
        with (
            fetching(f"openml {self._asked}", "openml.org", folder, by_hand),
            _offline(not data_config.download),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # retries; versions with known issues, which are named
            try:
                return fetch_openml(
                    **what, data_home=str(data_config.root), as_frame=True, n_retries=1
                )
            except zlib.error as error:
                raise DataError(f"a file in {folder} is damaged ({error}); delete it") from error


@contextmanager
def _offline(wanted: bool) -> Iterator[None]:  # noqa: FBT001
    """Make scikit-learn use what it has kept, and nothing else."""
    from sklearn.datasets import _openml

    def refuse(request: Any) -> NoReturn:
        raise ConnectionError(f"{request.full_url} is not there and data.download=false")

    # the library has no switch for this; kept files are opened without it
    before = _openml.urlopen
    _openml.urlopen = refuse if wanted else before
    try:
        yield
    finally:
        _openml.urlopen = before
