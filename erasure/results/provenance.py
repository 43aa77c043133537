"""Facts about the process behind a run: who, where, from which source."""

import getpass
import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import psutil

from erasure.schema import COMMIT_TAG, DIRTY_TAG, HOST_TAG


def process_tags() -> dict[str, str]:
    """Return the tags that identify this process, its user and its source."""
    process = psutil.Process()
    return {
        HOST_TAG: host(),
        "erasure.pid": str(process.pid),
        "erasure.born": f"{process.create_time():.2f}",
        "mlflow.user": _user(),
        "mlflow.source.name": _script(),
        "mlflow.source.type": "LOCAL",
        **git_tags(Path(__file__).resolve().parent),
    }


def host() -> str:
    """Return the name of this machine."""
    return socket.gethostname()


def is_alive(tags: Mapping[str, str]) -> bool:
    """Tell whether the process that wrote ``tags`` on this machine still runs.

    The time of its birth tells it from a later process with the same number.
    """
    try:
        process = psutil.Process(int(tags.get("erasure.pid", "-1")))
        born = float(tags.get("erasure.born", "0"))
        zombie = process.status() == psutil.STATUS_ZOMBIE
        # reckoned from the time of boot, which moves when the clock is set right
        return not zombie and abs(process.create_time() - born) < 2.0
    except (psutil.Error, ValueError):
        return False


@cache
def git_tags(folder: Path) -> dict[str, str]:
    """Return the commit of the repository around ``folder`` and whether files differ from it.

    Outside a repository, or without git, there is nothing to say and the result is empty.
    """
    command = ["git", "-C", str(folder), "status", "--porcelain=v2", "--branch"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    lines = done.stdout.splitlines()
    # lines with # are headers, all others are files that differ
    commit = next((line.split()[2] for line in lines if line.startswith("# branch.oid")), "")
    dirty = any(not line.startswith("#") for line in lines)
    named = {} if commit in ("", "(initial)") else {COMMIT_TAG: commit}
    return {**named, DIRTY_TAG: str(dirty).lower()}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for this user
        return "unknown"


def _script() -> str:
    name = Path(sys.argv[0]).name
    return name if name.endswith(".py") and name != "__main__.py" else "erasure"
