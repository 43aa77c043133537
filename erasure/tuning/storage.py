"""Where studies live: a database, a journal file, or a server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from erasure.core.errors import ConfigError
from erasure.schema import without_password
from erasure.trial.causes import to_absolute

JOURNAL = "journal:"
SQLITE = "sqlite:///"
BUSY_SECONDS = 60
"""How long a process waits for another one that writes to the same database file."""


def storage_url(setting: str | None, root: Path) -> str:
    """Return the address of the storage, with an absolute path if it is a file.

    Args:
        setting: ``hydra.sweeper.storage``; None is a database below the store.
        root: The store.
    """
    if setting is None:
        return f"{SQLITE}{studies_folder(root) / 'studies.db'}"
    for prefix in (SQLITE, JOURNAL):
        if setting.startswith(prefix) and not setting.endswith(":memory:"):
            return f"{prefix}{to_absolute(setting.removeprefix(prefix))}"
    return setting


def studies_folder(root: Path) -> Path:
    """Return the folder of studies below a store."""
    return root / "studies"


def open_storage(url: str, root: Path) -> BaseStorage:
    """Open the storage at ``url``, and create it if it is not there.

    Two processes that create the tables of one database at once would both fail, so whoever
    comes second waits for a lock below ``root``.

    Raises:
        ConfigError: If it cannot be reached or is none.
    """
    with creating(root):
        try:
            return _opened(url)
        except Exception as error:
            reason = " ".join(str(error).split("\n")[0].split()) or type(error).__name__
            raise ConfigError(
                f"hydra.sweeper.storage must be a database that can be reached, "
                f"got {without_password(url)}: {without_password(reason)}"
            ) from error


@contextmanager
def creating(root: Path) -> Iterator[None]:
    """Hold the lock under which storages and studies of a store are made."""
    folder = studies_folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        yield


def is_server(url: str) -> bool:
    """Tell whether processes on other machines, with other stores, may use the storage."""
    return not url.startswith((SQLITE, JOURNAL))


def _opened(url: str) -> BaseStorage:
    if url.startswith(JOURNAL):
        path = Path(url.removeprefix(JOURNAL))
        path.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(str(path)))
    if "://" not in url:
        raise ValueError("it is neither a URL nor journal:/path")
    arguments: dict[str, Any] = {}
    if url.startswith(SQLITE):
        if url.endswith(":memory:"):
            raise ValueError("a database in memory cannot be shared with trials")
        Path(url.removeprefix(SQLITE)).parent.mkdir(parents=True, exist_ok=True)
        arguments = {"connect_args": {"timeout": BUSY_SECONDS}}
    return RDBStorage(url, engine_kwargs=arguments)
