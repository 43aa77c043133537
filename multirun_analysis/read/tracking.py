"""Where runs come from: an MLflow database, or whatever MLflow's client can reach."""

import os
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from erasure.schema import DEFAULT_URI
from multirun_analysis.errors import AnalysisError
from multirun_analysis.read.source import RunReader

DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
"""Read by plain queries; everything else goes through MLflow's client."""


def default_uri() -> str:
    """Return where to look if nobody says: the address that MLflow itself would use, or ours."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def open_source(uri: str) -> RunReader:
    """Return what reads from ``uri``.

    Raises:
        AnalysisError: If it names a database file that does not exist.
    """
    scheme = urlsplit(uri).scheme.split("+")[0]  # sqlite+pysqlite names a driver
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


def _check_file(uri: str) -> None:
    # a fourth slash, of an absolute path, stays in front of it
    path = Path(uri.partition(":///")[2].partition("?")[0]).expanduser()
    if not path.is_file():
        raise AnalysisError(
            f"tracking-uri must name a database, and there is no file {path}; "
            "run a sweep in this folder, or say --tracking-uri sqlite:///path/to/mlflow.db"
        )
