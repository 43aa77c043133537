"""Where runs come from: an MLflow database, or whatever MLflow's client can reach."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

from erasure.schema import DEFAULT_URI
from multirun_analysis.errors import AnalysisError

DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
CHUNK = 500
"""Runs per query; databases and servers limit the length of a query."""


@dataclass(frozen=True, kw_only=True)
class RawRun:
    """A run as MLflow has it; times are Unix seconds, 0 if unknown."""

    run_id: str
    name: str
    experiment: str
    status: str
    started: float
    ended: float
    artifact_uri: str
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


class Source(Protocol):
    """Reads runs in bulk; deleted runs and experiments do not exist.

    Every method raises :class:`AnalysisError` if the database or server cannot be used.
    """

    def experiments(self) -> dict[str, str]:
        """Return the names of the experiments by id."""

    def search(self, experiments: Iterable[str], tag: str = "", value: str = "") -> list[RawRun]:
        """Return the runs of experiments.

        Args:
            experiments: Ids.
            tag: Return only runs that have this tag, and
            value: only those where it has this value, if it is not empty.
        """

    def fetch(self, experiments: Iterable[str], run_ids: Sequence[str]) -> list[RawRun]:
        """Return the runs of experiments that are among ``run_ids``."""


def default_uri() -> str:
    """Return where to look if nobody says: the address that MLflow itself would use, or ours."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def open_source(uri: str) -> Source:
    """Return what reads from ``uri``.

    Raises:
        AnalysisError: If it names a database file that does not exist.
    """
    scheme = urlsplit(uri).scheme.split("+")[0]
    if scheme == "sqlite":
        _check_file(uri)
    if scheme in DATABASES:
        from multirun_analysis.read.database import DatabaseSource

        return DatabaseSource(uri)
    from multirun_analysis.read.server import ServerSource

    return ServerSource(uri)


def artifact(uri: str, run_id: str, artifact_uri: str, name: str) -> Path | None:
    """Return the path of a run's file on this machine, fetched if need be, None if it has none.

    Args:
        uri: The tracking database or server.
        run_id: The run.
        artifact_uri: Where its artifacts are.
        name: Path of the file below that.
    """
    folder = local_folder(artifact_uri)
    if folder is not None:
        path = folder / name
        return path if path.is_file() else None
    from multirun_analysis.read.server import download

    return download(uri, run_id, name)


def local_folder(artifact_uri: str) -> Path | None:
    """Return the folder of artifacts, or None if they are on another machine."""
    parts = urlsplit(artifact_uri)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return Path(artifact_uri) if not parts.scheme and artifact_uri else None


def chunks(items: Sequence[str]) -> Iterator[list[str]]:
    """Yield ``items`` in portions that fit into a query."""
    for start in range(0, len(items), CHUNK):
        yield list(items[start : start + CHUNK])


def _check_file(uri: str) -> None:
    path = Path(uri.partition(":///")[2].partition("?")[0]).expanduser()
    if not path.is_file():
        raise AnalysisError(
            f"tracking-uri must name a database, and there is no file {path}; "
            "run a sweep in this folder, or say --tracking-uri sqlite:///path/to/mlflow.db"
        )
