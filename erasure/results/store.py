"""The results of trials on disk, what they depended on, and which process is running which.

One folder per trial, ``<root>/trials/<fingerprint>/``, with ``result.json``, ``causes.json`` and
``artifacts/``. A result is written to this folder first and sent to the tracking server
afterwards, so a server that is down at the wrong moment costs nothing: what was not sent is sent
later. ``<root>/trials/finished`` has a line for each trial that finished, so that one that is
like another is found without opening thousands of files.
"""

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from erasure.core.fingerprint import fingerprint as hash_of
from erasure.results.record import TrialRecord, TrialResult

log = logging.getLogger(__name__)


SAME_KIND = ("unlearner", "dataset", "split", "model")
"""Tags that two trials share, besides their seeds, if one is looked at as the other run again."""


@dataclass(frozen=True, kw_only=True)
class FinishedTrial:
    """A line about a trial that finished.

    Args:
        fingerprint: Its name.
        ended: When it did, in Unix time.
        same_settings: Whether its settings are those of the trial it was looked up for.
    """

    fingerprint: str
    ended: float
    same_settings: bool


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
            result = TrialResult.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError, AttributeError):
            result = None
        if result is None or result.trial.fingerprint != fingerprint:
            log.warning("%s is not a result of this trial; it is ignored", path)
            return None
        return result

    def finished(self, fingerprint: str) -> TrialResult | None:
        """Return the result of a trial if it finished, else None."""
        result = self.find(fingerprint)
        return result if result is not None and result.outcome == "finished" else None

    def causes(self, fingerprint: str) -> Mapping[str, Mapping[str, Any]]:
        """Return what a trial depended on, or nothing if it was not kept."""
        try:
            sections = json.loads(
                (self.folder(fingerprint) / "causes.json").read_text(encoding="utf-8")
            )
        except (OSError, ValueError):
            return {}
        return sections if isinstance(sections, dict) else {}

    def finished_like(self, trial: TrialRecord) -> list[FinishedTrial]:
        """Return the trials like ``trial`` that finished, the latest first, each once.

        They have its method, data, split, model and seeds. That takes about a millisecond with
        thousands of results; some may have been deleted since.
        """
        kind = _kind(trial)
        settings = _settings(trial)
        try:
            lines = (self.root / "finished").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        latest: dict[str, FinishedTrial] = {}
        for line in reversed(lines):  # they are appended, so later ones come first
            if not line.startswith(kind) or line.count(" ") != 3:  # a crash may have cut one short
                continue
            _, its_settings, ended, name = line.split(" ")
            entry = FinishedTrial(
                fingerprint=name, ended=float(ended), same_settings=its_settings == settings
            )
            latest.setdefault(name, entry)
        return list(latest.values())

    def save(self, result: TrialResult) -> None:
        """Write a result in one step, and with it, once, what the trial depended on."""
        trial = result.trial
        folder = self.folder(trial.fingerprint)
        folder.mkdir(parents=True, exist_ok=True)
        # a result that was read back has no causes: to save it again must not list it twice
        if trial.causes and not (folder / "causes.json").exists():
            _write(folder / "causes.json", json.dumps(trial.causes, sort_keys=True))
            if result.outcome == "finished":
                self._list(result)
        _write(folder / "result.json", json.dumps(result.to_json(), indent=1))

    def mark_sent(self, result: TrialResult, run: str) -> TrialResult:
        """Note which tracking run holds ``result`` and return it with the note."""
        sent = replace(result, run=run)
        self.save(sent)
        self.wait_no_more(result.trial.fingerprint)
        return sent

    def wait(self, fingerprint: str, parent: str) -> None:
        """Note that a result waits for the tracker, and the run of the sweep it belongs to."""
        note = self._waiting(fingerprint)
        note.parent.mkdir(parents=True, exist_ok=True)
        # written beside the folder, which holds notes and nothing else, and moved in
        partial = self.root / f".waiting.{fingerprint}.{os.getpid()}"
        partial.write_text(parent, encoding="utf-8")
        partial.replace(note)

    def wait_no_more(self, fingerprint: str) -> None:
        """Remove the note that a result waits."""
        self._waiting(fingerprint).unlink(missing_ok=True)

    def waiting(self) -> dict[str, str]:
        """Return, by fingerprint, the runs of the sweeps of all results that are known to wait.

        That is cheap however many results there are, but a process that was killed before it could
        deliver noted nothing; :meth:`unsent` looks at every result.
        """
        return {note.name: _read(note) for note in sorted(self._waiting("").glob("*"))}

    def forget(self, fingerprint: str) -> None:
        """Remove what is left of an earlier run of a trial."""
        shutil.rmtree(self.folder(fingerprint), ignore_errors=True)

    def unsent(self) -> list[TrialResult]:
        """Return the results that no tracking run holds yet."""
        every = (self.find(path.parent.name) for path in sorted(self.root.glob("*/result.json")))
        return [result for result in every if result is not None and not result.run]

    def _list(self, result: TrialResult) -> None:
        words = [_kind(result.trial), _settings(result.trial), f"{result.ended:.0f}"]
        line = " ".join([*words, result.trial.fingerprint])
        with (self.root / "finished").open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")  # one short write to the end of a file is never torn apart

    def _waiting(self, fingerprint: str) -> Path:
        return self.root / ".waiting" / fingerprint

    def _lock(self, fingerprint: str) -> FileLock:
        folder = self.root / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{fingerprint}.lock")


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    # in one step: who reads meanwhile gets the old text or the new one
    partial.replace(path)


def _read(note: Path) -> str:
    try:
        return note.read_text(encoding="utf-8")
    except FileNotFoundError:  # sent by another process meanwhile
        return ""


def _kind(trial: TrialRecord) -> str:
    """Return a hash of what like trials share."""
    shared = {name: trial.tags.get(name, "") for name in SAME_KIND}
    seeds = {name: value for name, value in trial.tags.items() if name.startswith("seed.")}
    return hash_of({**shared, **seeds})[:12]


def _settings(trial: TrialRecord) -> str:
    return hash_of(dict(trial.causes.get("config", {})))[:12]
