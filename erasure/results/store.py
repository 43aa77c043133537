"""The ledger of trials on disk: who is running which, and what came of it.

One folder per trial, ``<root>/trials/<fingerprint>/``, with ``result.json`` and ``artifacts/``.
The folder is the first place a result is written to and the tracking server the second, so a
server that is down at the wrong moment costs nothing: what was not sent is sent later.
"""

import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from erasure.results.record import TrialResult

log = logging.getLogger(__name__)


class ResultStore:
    """Results of trials below ``root``, safe for any number of processes."""

    def __init__(self, root: Path) -> None:
        self.root = root / "trials"

    def folder(self, fingerprint: str) -> Path:
        """Return the folder of a trial, which may not exist yet."""
        return self.root / fingerprint

    def artifacts(self, fingerprint: str) -> Path:
        """Return the folder for a trial's files."""
        return self.folder(fingerprint) / "artifacts"

    @contextmanager
    def claim(self, fingerprint: str) -> Iterator[None]:
        """Hold a trial for a block; a second process waits here and then finds the result."""
        with self._lock(fingerprint):
            yield

    def is_claimed(self, fingerprint: str) -> bool:
        """Tell whether a living process of this machine holds the trial.

        The operating system frees the lock of a process that dies, however it dies.
        """
        try:
            with self._lock(fingerprint).acquire(blocking=False):
                return False
        except Timeout:
            return True

    def find(self, fingerprint: str) -> TrialResult | None:
        """Return the result of a trial, or None; a result is written whole or not at all."""
        path = self.folder(fingerprint) / "result.json"
        if not path.is_file():
            return None
        try:
            found = TrialResult.from_json(json.loads(path.read_text()))
        except (ValueError, KeyError, TypeError, AttributeError):
            found = None
        if found is None or found.trial.fingerprint != fingerprint:
            log.warning("%s is not a result of this trial; it is ignored", path)
            return None
        return found

    def finished(self, fingerprint: str) -> TrialResult | None:
        """Return the result of a trial if it finished, else None."""
        result = self.find(fingerprint)
        return result if result is not None and result.outcome == "finished" else None

    def save(self, result: TrialResult) -> None:
        """Write a result in one step."""
        folder = self.folder(result.trial.fingerprint)
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"result.json.{os.getpid()}"
        partial.write_text(json.dumps(result.to_json(), indent=1))
        partial.replace(folder / "result.json")

    def mark_sent(self, result: TrialResult, run: str) -> TrialResult:
        """Note which tracking run holds ``result`` and return it with the note."""
        sent = replace(result, run=run)
        self.save(sent)
        return sent

    def forget(self, fingerprint: str) -> None:
        """Remove what is left of an earlier run of a trial."""
        shutil.rmtree(self.folder(fingerprint), ignore_errors=True)

    def unsent(self) -> list[TrialResult]:
        """Return the results that no tracking run holds yet."""
        found = (self.find(path.parent.name) for path in sorted(self.root.glob("*/result.json")))
        return [result for result in found if result is not None and not result.run]

    def _lock(self, fingerprint: str) -> FileLock:
        folder = self.root / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{fingerprint}.lock")
