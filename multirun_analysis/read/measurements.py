"""Values with their status, and what their names mean, from metrics and ``metrics.json``."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from erasure.schema import METRICS_FILE, ROLES
from multirun_analysis.errors import AnalysisError
from multirun_analysis.read.frame import MetricMeaning
from multirun_analysis.read.metrics_file import Entries, read_metrics_files
from multirun_analysis.read.source import RawRun

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("run_id", "role", "metric", "value", "status", "reason", "ci_low", "ci_high", "n")
NOTED = {
    "cost/models_trained": "Models that this trial had to train; the others were in the store.",
    "seconds/": "Wall time of a stage of the trial's process.",
}
CURVE = "Last value of a curve; the method or trainer names it."
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
    files, notes = read_metrics_files(uri, finished)
    if finished and not files:
        first = finished[0]
        raise AnalysisError(
            f"no run has a {METRICS_FILE} that can be read, so nobody knows what its metrics "
            f"mean; the first, {first.name}, should have it at {first.artifact_uri}"
        )
    collected = collect(runs, files, outcomes)
    return replace(collected, notes=notes)


def collect(
    runs: Sequence[RawRun],
    files: Mapping[str, Entries],
    outcomes: Mapping[str, tuple[str, str]],
) -> Measurements:
    """Collect the values of runs whose files were read.

    Args:
        runs: The runs.
        files: What ``metrics.json`` says, by run id.
        outcomes: As in :func:`measure`.
    """
    declared = _declared(files.values())
    rows = [row for run in runs for row in _rows(run, files.get(run.run_id), declared)]
    schema = _schema(files.values(), {str(row[2]) for row in rows})
    keys = [key for key in _keys(files.values()) if key[1] in schema]
    why = {run: _why(outcome, run in files) for run, outcome in outcomes.items()}
    return Measurements(values=_completed(rows, keys, why), schema=schema, notes=[])


def role_of(name: str, declared: Iterable[str] = ()) -> Key:
    """Split a tracking name: ``gold/forget/accuracy`` is ``forget/accuracy`` of the gold model.

    A training curve such as ``gold/loss`` is no measurement of a role: a name has a role only if
    what remains is declared.
    """
    role, _, rest = name.partition("/")
    if role in ROLES[1:] and rest in declared:  # the first role, unlearned, has no prefix
        return role, rest
    return "unlearned", name


def _declared(files: Iterable[Entries]) -> set[str]:
    """Return the names of all metrics, without role."""
    names = {name for file in files for name in file}
    # a name without a slash has both of its other parts empty
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
    for name in (name for name in entries if name not in run.metrics):  # in the order of the file
        role, metric = role_of(name, declared)
        entry = entries[name]
        status = str(entry["status"]), str(entry.get("reason") or "")
        if status[0] == "ok":  # JSON and MLflow have no infinity
            status = "degenerate", "infinite"
        yield run.run_id, role, metric, math.nan, *status, *[math.nan] * 3


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
            # the same metric means the same in every file: the first that has it counts
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
    descriptions = (text for start, text in NOTED.items() if name.startswith(start))
    return MetricMeaning(
        direction="info",
        low=-math.inf,
        high=math.inf,
        ideal=None,
        description=next(descriptions, CURVE),
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


def _why(result: tuple[str, str], read: bool) -> tuple[str, str]:  # noqa: FBT001 - a fact
    outcome, reason = result
    if outcome != "finished":
        return outcome, reason
    return (
        "missing",
        "the run did not measure it" if read else f"no value, and no {METRICS_FILE} says why",
    )
