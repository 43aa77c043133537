"""What a sweep wrote down about its trials: ``sweep.json`` and ``summary.csv`` of its run."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from erasure.schema import SUMMARY_FILE, SWEEP_FILE
from multirun_analysis.read.source import RawRun
from multirun_analysis.read.tracking import artifact


@dataclass(frozen=True, kw_only=True)
class ListedTrial:
    """A trial as its sweep lists it.

    Args:
        fingerprint: Hash of the trial.
        name: For a reader.
        run_id: Its run, empty if it has no result.
        state: ``finished``, ``failed`` or ``not run``.
        reason: Why it did not finish.
        overrides: What the command line of this trial says.
        tags: Its choices and seeds.
    """

    fingerprint: str
    name: str
    run_id: str
    state: str
    reason: str
    overrides: Sequence[str]
    tags: Mapping[str, str]

    @property
    def settings(self) -> dict[str, str]:
        """The overrides as settings by dotted key."""
        split = (override.lstrip("+").partition("=") for override in self.overrides)
        return {key: value for key, _, value in split}


def read_listed(uri: str, sweep: RawRun) -> list[ListedTrial]:
    """Return the trials of a sweep, finished before it or by it; none while it runs."""
    path = artifact(uri, sweep.run_id, sweep.artifact_uri, SWEEP_FILE)
    if path is None:
        return []
    try:
        trials = json.loads(path.read_bytes())["trials"]
        tags = _tags(uri, sweep)
        return [
            ListedTrial(
                fingerprint=str(trial["fingerprint"]),
                name=str(trial["name"]),
                run_id=str(trial["run"]),
                state=str(trial["state"]),
                reason=str(trial["reason"]),
                overrides=[str(override) for override in trial["overrides"]],
                tags=tags.get(str(trial["fingerprint"]), {}),
            )
            for trial in trials
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # not what this package's sweeps write; the runs below it are known anyway


def _tags(uri: str, sweep: RawRun) -> dict[str, dict[str, str]]:
    """Return the choices and seeds of the trials by fingerprint."""
    path = artifact(uri, sweep.run_id, sweep.artifact_uri, SUMMARY_FILE)
    if path is None:
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row.get("fingerprint", ""): row for row in csv.DictReader(file)}
