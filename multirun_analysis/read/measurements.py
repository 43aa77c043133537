"""Values with their status, and what their names mean, from metrics and ``metrics.json``."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from erasure.schema import METRICS_FILE, ROLES
from multirun_analysis.errors import AnalysisError
from multirun_analysis.read.frame import MetricMeaning
from multirun_analysis.read.source import RawRun, artifact, local_folder

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("run_id", "role", "metric", "value", "status", "reason", "ci_low", "ci_high", "n")
NOTED = {
    "cost/models_trained": "Models that this trial had to train; the others were in the store.",
    "seconds/": "Wall time of a stage of the trial's process.",
}
CURVE = "Last value of a curve; the method or trainer names it."
MOST_FETCHED = 200
"""Files that are fetched from another machine, at a call each."""

Entries = Mapping[str, Mapping[str, Any]]
Key = tuple[str, str]
"""Role and metric."""


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """All values of some runs.

    Args:
        values: As in :class:`multirun_analysis.read.frame.Results`.
        schema: The meaning of every metric.
        notes: What could not be read.
    """

    values: "pd.DataFrame"
    schema: dict[str, MetricMeaning]
    notes: list[str]


def measure(
    uri: str, runs: Sequence[RawRun], outcomes: Mapping[str, tuple[str, str]]
) -> Measurements:
    """Collect the values of runs.

    ``metrics.json`` is read from every run whose artifacts are on this machine. Of others it is
    fetched once per evaluator, for the meaning, and where values are missing, for the reason.

    Args:
        uri: The tracking database or server.
        runs: The runs.
        outcomes: Outcome and reason of all trials, those without a run included, by run id.

    Raises:
        AnalysisError: If runs finished, but the meaning of their metrics cannot be found.
    """
    finished = [run for run in runs if outcomes[run.run_id][0] == "finished"]
    files, notes = _files(uri, finished)
    if finished and not files:
        first = finished[0]
        raise AnalysisError(
            f"no run has a {METRICS_FILE} that can be read, so nobody knows what its metrics "
            f"mean; the first, {first.name}, should have it at {first.artifact_uri}"
        )
    declared = _declared(files.values())
    rows = [row for run in runs for row in _rows(run, files.get(run.run_id), declared)]
    schema = _schema(files.values(), {str(row[2]) for row in rows})
    keys = [key for key in _keys(files.values()) if key[1] in schema]
    why = {run: _why(told, run in files) for run, told in outcomes.items()}
    return Measurements(values=_completed(rows, keys, why), schema=schema, notes=notes)


def role_of(name: str, declared: Iterable[str] = ()) -> Key:
    """Split a tracking name: ``gold/forget/accuracy`` is ``forget/accuracy`` of the gold model.

    A training curve such as ``gold/loss`` is no measurement of a role: a name has a role only if
    what remains is declared.
    """
    role, _, rest = name.partition("/")
    if role in ROLES[1:] and rest in declared:
        return role, rest
    return "unlearned", name


def _files(uri: str, runs: Sequence[RawRun]) -> tuple[dict[str, Entries], list[str]]:
    """Return the contents of the files that are here or needed, by run id."""
    here = {run.run_id for run in runs if local_folder(run.artifact_uri) is not None}
    files = {run.run_id: read for run in runs if run.run_id in here and (read := _read(uri, run))}
    unread = len(here) - len(files)
    far = [run for run in runs if run.run_id not in here]
    fetched = _fetch_needed(uri, far)
    unread += sum(1 for read in fetched.values() if read is None)
    files |= {run: read for run, read in fetched.items() if read is not None}
    notes = []
    if unread and files:
        notes.append(
            f"{METRICS_FILE} of {unread} of {len(runs)} finished runs is missing or cannot be read"
        )
    if len(far) > len(fetched):
        notes.append(
            f"{METRICS_FILE} was fetched from {len(fetched)} of {len(far)} runs on another "
            "machine; the intervals of single runs are known for those only"
        )
    return files, notes


def _fetch_needed(uri: str, runs: Sequence[RawRun]) -> dict[str, Entries | None]:
    """Fetch the file of one run per evaluator, then of the runs that lack a declared metric."""
    fetched: dict[str, Entries | None] = {}
    known: dict[tuple[object, ...], set[str]] = {}
    for run in runs:
        key = _evaluator(run)
        expected = known.get(key)
        lacking = expected is None or expected - run.metrics.keys()
        if lacking and len(fetched) < MOST_FETCHED:
            read = _read(uri, run)
            fetched[run.run_id] = read
            if read:
                known.setdefault(key, set()).update(read)
    return fetched


def _evaluator(run: RawRun) -> tuple[object, ...]:
    settings = (item for item in run.params.items() if item[0].startswith("evaluator."))
    return (run.tags.get("evaluator"), *sorted(settings))


def _read(uri: str, run: RawRun) -> Entries | None:
    path = artifact(uri, run.run_id, run.artifact_uri, METRICS_FILE)
    if path is None:
        return None
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None  # cut while it was copied; the run keeps its tracked values
    sound = isinstance(found, dict) and all(_is_entry(entry) for entry in found.values())
    return found if sound else None


def _is_entry(entry: object) -> bool:
    return isinstance(entry, dict) and {"value", "status", "direction"} <= entry.keys()


def _declared(files: Iterable[Entries]) -> set[str]:
    """Return the names of all metrics, without role."""
    names = {name for file in files for name in file}
    split = (name.partition("/") for name in names)
    return {rest if role in ROLES[1:] else role + slash + rest for role, slash, rest in split}


def _keys(files: Iterable[Entries]) -> list[Key]:
    names = dict.fromkeys(name for file in files for name in file)
    declared = _declared(files)
    return list(dict.fromkeys(role_of(name, declared) for name in names))


def _rows(run: RawRun, file: Entries | None, declared: set[str]) -> Iterable[tuple[object, ...]]:
    entries = file or {}
    for name, value in run.metrics.items():
        role, metric = role_of(name, declared)
        low, high = _interval(entries.get(name))
        size = _size(entries.get(name))
        status = ("degenerate", "not a number") if math.isnan(value) else ("ok", "")
        yield run.run_id, role, metric, value, *status, low, high, size
    for name in entries.keys() - run.metrics.keys():
        role, metric = role_of(name, declared)
        entry = entries[name]
        told = str(entry["status"]), str(entry.get("reason") or "")
        if told[0] == "ok":  # JSON and MLflow have no infinity
            told = "degenerate", "infinite"
        yield run.run_id, role, metric, math.nan, *told, *[math.nan] * 3


def _interval(entry: Mapping[str, Any] | None) -> tuple[float, float]:
    ends = entry.get("ci") if entry else None
    if not ends:
        return math.nan, math.nan
    low, high = (math.nan if end is None else float(end) for end in ends)
    return low, high


def _size(entry: Mapping[str, Any] | None) -> float:
    size = entry.get("n") if entry else None
    return math.nan if size is None else float(size)


def _schema(files: Iterable[Entries], names: set[str]) -> dict[str, MetricMeaning]:
    declared = _declared(files)
    schema: dict[str, MetricMeaning] = {}
    for file in files:
        for name, entry in file.items():
            metric = role_of(name, declared)[1]
            if metric not in schema:
                schema[metric] = _meaning(entry)
    undeclared = {name: _noted(name) for name in sorted(names - schema.keys())}
    return schema | undeclared


def _meaning(entry: Mapping[str, Any]) -> MetricMeaning:
    low, high = entry.get("range") or (None, None)
    ideal = entry.get("ideal")
    return MetricMeaning(
        direction=entry["direction"],
        low=-math.inf if low is None else float(low),
        high=math.inf if high is None else float(high),
        ideal=None if ideal is None else float(ideal),
        description=str(entry.get("description") or ""),
        unit=str(entry.get("unit") or ""),
    )


def _noted(name: str) -> MetricMeaning:
    known = (text for start, text in NOTED.items() if name.startswith(start))
    return MetricMeaning(
        direction="info",
        low=-math.inf,
        high=math.inf,
        ideal=None,
        description=next(known, CURVE),
        unit="s" if name.startswith("seconds/") else "",
        declared=False,
    )


def _completed(
    rows: Sequence[tuple[object, ...]],
    keys: Sequence[Key],
    why: Mapping[str, tuple[str, str]],
) -> "pd.DataFrame":
    """Return the rows and one for everything that is declared and was not measured."""
    import pandas as pd

    values = pd.DataFrame(rows, columns=list(COLUMNS))
    have = pd.MultiIndex.from_frame(values[["run_id", "role", "metric"]])
    wanted = pd.MultiIndex.from_tuples(
        [(run, *key) for run in why for key in keys], names=["run_id", "role", "metric"]
    )
    absent = wanted.difference(have, sort=False).to_frame(index=False)
    absent["value"] = math.nan
    absent["status"] = absent["run_id"].map({run: status for run, (status, _) in why.items()})
    absent["reason"] = absent["run_id"].map({run: reason for run, (_, reason) in why.items()})
    absent[["ci_low", "ci_high", "n"]] = math.nan
    if values.empty:
        return absent[list(COLUMNS)]
    return pd.concat([values, absent[list(COLUMNS)]], ignore_index=True)


def _why(told: tuple[str, str], read: bool) -> tuple[str, str]:  # noqa: FBT001 - a fact
    outcome, reason = told
    if outcome != "finished":
        return outcome, reason
    return (
        "missing",
        "the run did not measure it" if read else f"no value, and no {METRICS_FILE} says why",
    )
