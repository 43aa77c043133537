"""Addresses of tracking servers and databases, and whether they can be used.

MLflow itself answers this after minutes of retries, and only once results are to be written.
"""

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from erasure.core.errors import ConfigError

SQLITE = "sqlite:///"
SERVER = ("http://", "https://")
ALLOWED = "sqlite:///path/to/file.db, http://host:port or https://host"
PATIENCE = 5.0
"""Seconds to wait for a server to answer."""


def absolute(uri: str) -> str:
    """Return ``uri`` with the path of a database made absolute; other addresses as they are."""
    path = database(uri)
    return uri if path is None else f"{SQLITE}{path}"


def database(uri: str) -> Path | None:
    """Return the file of a SQLite database, or None for any other address."""
    if not uri.startswith(SQLITE) or uri.removeprefix(SQLITE) in ("", ":memory:"):
        return None
    return Path(uri.removeprefix(SQLITE)).expanduser().absolute()


def check(uri: str) -> None:
    """Refuse an address that cannot be used; nothing is created.

    Raises:
        ConfigError: With a message that starts with ``uri``.
    """
    path = database(uri)
    if path is not None:
        _check_database(path)
    elif uri.startswith(SERVER):
        _check_server(uri.rstrip("/"))
    else:
        raise ConfigError(
            f"uri must be {ALLOWED}, got {uri!r}; MLflow's folder of files is not supported, "
            "and PostgreSQL belongs behind a server"
        )


def _check_database(path: Path) -> None:
    folder = path.parent
    # the nearest folder there is; those below it are made when the database is
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        # in an address ? begins options and % an escaped letter
        if set("?%") & set(path.as_posix()):
            raise ValueError("MLflow cannot open a path with ? or % in it")  # noqa: TRY301
        if not folder.is_dir():
            raise NotADirectoryError(f"{folder} is a file")
        with tempfile.TemporaryFile(dir=folder):
            pass
        if path.exists():
            _check_file(path)
    except (OSError, ValueError, sqlite3.Error) as error:
        raise ConfigError(
            f"uri must name an MLflow database, or a new file in a folder that can be written, "
            f"got '{SQLITE}{path}': {error}; choose another file, or tracking=none"
        ) from error


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise IsADirectoryError(f"{path} is not a file")
    if not os.access(path, os.R_OK | os.W_OK):
        raise PermissionError(f"{path} cannot be read and written")
    with closing(sqlite3.connect(path, timeout=PATIENCE)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = {name for (name,) in rows}
    if tables and "experiments" not in tables:
        raise sqlite3.DatabaseError(f"{path} is a database of something else")


def _check_server(uri: str) -> None:
    if urlsplit(uri).password is not None:
        raise ConfigError(
            "uri must not contain a password, it would be stored with every run; set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead"
        )
    problem = _problem(f"{uri}/health")
    if problem:
        raise ConfigError(
            f"uri must be a server that answers, got {uri!r}: GET {uri}/health: {problem}; start "
            f"it (mlflow server), or use {SQLITE}mlruns/mlflow.db, or tracking=none"
        )


def _problem(url: str) -> str:
    request = Request(url, headers={"User-Agent": "erasure"})  # http(s) only
    try:
        with urlopen(request, timeout=PATIENCE):
            return ""
    except HTTPError as error:
        locked = error.code in (401, 403)  # somebody is there; MLflow knows the password
        return "" if locked else f"{error}, is this an MLflow server?"
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))
