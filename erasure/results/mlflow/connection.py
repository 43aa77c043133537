"""MLflow's client, quiet, impatient and under a lock where it would race."""

import logging
import os
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from erasure.core.errors import ErasureError, TrackingError
from erasure.results.mlflow.reachable import SQLITE, database
from erasure.results.tracker import RunLostError

if TYPE_CHECKING:
    from mlflow import MlflowClient

ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # its own 7 retries take minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""Defaults for our calls; what the user has set wins."""

CHATTER = {"mlflow": logging.CRITICAL, "alembic": logging.CRITICAL, "urllib3": logging.ERROR}
"""Least level per logger during our calls; what matters reaches us as an exception."""

LOCK_SECONDS = 600.0


@contextmanager
def calling(uri: str) -> Iterator[None]:
    """Run a block of MLflow calls: quiet, impatient, with errors of one kind.

    Raises:
        RunLostError: If a run does not exist.
        TrackingError: For anything else; MLflow raises whatever its backends raise.
    """
    with _environment(), _silence():
        try:
            yield
        except ErasureError:
            raise
        except Exception as error:
            raise _translated(error, uri) from error


@contextmanager
def locked(uri: str) -> Iterator[None]:
    """Hold the lock beside a database for a block; a server needs none."""
    path = database(uri)
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=LOCK_SECONDS):
        yield


def client_of(uri: str) -> "MlflowClient":
    """Return a client; call it under :func:`locked`, the first one creates the database."""
    from mlflow import MlflowClient

    path = database(uri)
    if path is not None and not path.exists():
        _create(path)
    return MlflowClient(tracking_uri=uri)


def _create(path: Path) -> None:
    """Create the tables under another name, so that a killed process leaves no half database.

    Write-ahead logging is a property of the file and halves the time of a write.
    """
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    _open_and_close(partial)
    partial.replace(path)
    with closing(sqlite3.connect(path)) as connection, suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode=WAL")  # some network disks have none
    _open_and_close(path)  # this process may hold connections to a database that was deleted


def _open_and_close(path: Path) -> None:
    """Let MLflow open a database, creating its tables if need be, and close it again."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    artifact_uri = (path.parent / "artifacts" / "Default").as_uri()
    SqlAlchemyStore(f"{SQLITE}{path}", artifact_uri).engine.dispose()  # type: ignore[no-untyped-call]


def _translated(error: Exception, uri: str) -> TrackingError:
    # errors of MLflow have a code, those of databases below it do not
    lost = getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    message = f"tracking at {uri} failed: {lines[0][:300]}"
    return RunLostError(message) if lost else TrackingError(message)


@contextmanager
def _environment() -> Iterator[None]:
    missing = {key: value for key, value in ENVIRONMENT.items() if key not in os.environ}
    os.environ.update(missing)
    try:
        yield
    finally:
        for key in missing:
            os.environ.pop(key, None)


@contextmanager
def _silence() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # MLflow's affair, not our users'
        warnings.simplefilter("ignore", FutureWarning)
        with _levels():
            yield


@contextmanager
def _levels() -> Iterator[None]:
    import mlflow  # noqa: F401  # it configures the loggers when it is imported

    loggers = {logging.getLogger(name): level for name, level in CHATTER.items()}
    before = {logger: logger.level for logger in loggers}
    for logger, level in loggers.items():
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, level in before.items():
            logger.setLevel(level)
