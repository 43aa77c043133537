"""Where studies live, and the names under which they keep what is ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from erasure.config.paths import to_absolute
from erasure.core.errors import ConfigError
from erasure.schema import without_password

STUDY_CONFIG = "erasure.study_config"
"""Of a study: what must be the same when it goes on, as JSON."""

SEARCH_SETTINGS = "erasure.search_settings"
"""Of a study: how it was asked for the last time, as JSON."""

OWNER = "erasure.owner"
"""Of a trial: the process that works on it; empty when it was given back."""

SEEN = "erasure.seen"
"""Of a trial: Unix time at which its process was heard of."""

DEATHS = "erasure.deaths"
"""Of a trial: how often the process of a seed died, by index of the seed."""

REASON = "erasure.reason"
"""Of a trial: why it has no values."""

SECONDS = "erasure.seconds"
"""Of a trial: wall time of the method, mean over the seeds."""

CONSTRAINTS = "erasure.constraints"
"""Of a trial: constraint to violation, at most 0 when it holds."""

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
    with study_lock(root):
        try:
            return _connect(url)
        except Exception as error:
            reason = " ".join(str(error).split("\n")[0].split()) or type(error).__name__
            raise ConfigError(
                f"hydra.sweeper.storage must be a database that can be reached, "
                f"got {without_password(url)}: {without_password(reason)}"
            ) from error


@contextmanager
def study_lock(root: Path) -> Iterator[None]:
    """Hold the lock under which storages and studies of a store are made and trials claimed.

    Optuna creates tables and counts trials without one, so two processes that start at once would
    fail on the first or both draw a last trial. It works among processes with one store; processes
    on other machines, with stores of their own, rely on the transactions of the server.
    """
    folder = studies_folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        yield


def is_server(url: str) -> bool:
    """Tell whether processes on other machines, with other stores, may use the storage."""
    return not url.startswith((SQLITE, JOURNAL))


def _connect(url: str) -> BaseStorage:
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
        # SQLite lets one process write at a time; its own default gives up after 5 seconds
        arguments = {"connect_args": {"timeout": BUSY_SECONDS}}
    return RDBStorage(url, engine_kwargs=arguments)
