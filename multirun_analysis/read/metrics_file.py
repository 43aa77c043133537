"""``metrics.json`` of finished trials: every value with its meaning and its status."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from erasure.schema import METRICS_FILE
from multirun_analysis.read.source import RawRun
from multirun_analysis.read.tracking import artifact, local_folder

Entries = Mapping[str, Mapping[str, Any]]
"""Contents of a file: by tracking name, ``value``, ``status``, ``direction`` and more."""

MOST_FETCHED = 200
"""Files that are fetched from another machine, at a call each."""


def read_metrics_files(uri: str, runs: Sequence[RawRun]) -> tuple[dict[str, Entries], list[str]]:
    """Return the contents of the files that are here or needed, by run id."""
    local = {run.run_id for run in runs if local_folder(run.artifact_uri) is not None}
    files = {run.run_id: read for run in runs if run.run_id in local and (read := _read(uri, run))}
    unread = len(local) - len(files)
    remote = [run for run in runs if run.run_id not in local]
    fetched = _fetch_needed(uri, remote)
    unread += sum(1 for read in fetched.values() if read is None)
    files |= {run: read for run, read in fetched.items() if read is not None}
    notes = []
    if unread and files:
        notes.append(
            f"{METRICS_FILE} of {unread} of {len(runs)} finished runs is missing or cannot be read"
        )
    if len(remote) > len(fetched):
        notes.append(
            f"{METRICS_FILE} was fetched from {len(fetched)} of {len(remote)} runs on another "
            "machine; the intervals of single runs are known for those only"
        )
    return files, notes


def _fetch_needed(uri: str, runs: Sequence[RawRun]) -> dict[str, Entries | None]:
    """Fetch the file of one run per evaluator, then of the runs that lack a declared metric."""
    fetched: dict[str, Entries | None] = {}
    metrics_of: dict[tuple[object, ...], set[str]] = {}
    for run in runs:
        key = _evaluator(run)
        expected = metrics_of.get(key)
        # the first run of an evaluator tells what the others should have
        lacking = expected is None or expected - run.metrics.keys()
        if lacking and len(fetched) < MOST_FETCHED:
            read = _read(uri, run)
            fetched[run.run_id] = read
            if read:
                metrics_of.setdefault(key, set()).update(read)
    return fetched


def _evaluator(run: RawRun) -> tuple[object, ...]:
    settings = (item for item in run.params.items() if item[0].startswith("evaluator."))
    return (run.tags.get("evaluator"), *sorted(settings))


def _read(uri: str, run: RawRun) -> Entries | None:
    path = artifact(uri, run.run_id, run.artifact_uri, METRICS_FILE)
    if path is None:
        return None
    try:
        entries = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None  # cut while it was copied; the run keeps its tracked values
    sound = isinstance(entries, dict) and all(_is_entry(entry) for entry in entries.values())
    return entries if sound else None


def _is_entry(entry: object) -> bool:
    return isinstance(entry, dict) and {"value", "status", "direction"} <= entry.keys()
