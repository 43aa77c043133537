"""Which runs belong to an analysis, and why others do not."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from erasure.schema import FINGERPRINT_TAG, OUTCOME_TAG, PARENT_TAG, SWEEP_TAG
from multirun_analysis.errors import AnalysisError, near
from multirun_analysis.read.frame import SHORTEST_ID
from multirun_analysis.read.source import RawRun, RunReader
from multirun_analysis.read.sweep_files import ListedTrial, read_listed


@dataclass(kw_only=True)
class Selection:
    """Runs to analyse.

    Args:
        runs: Of trials, one per trial.
        sweeps: They belong to, newest first.
        listed: Trials by sweep, as it lists them.
        notes: What a reader has to know about the choice.
    """

    runs: list[RawRun] = field(default_factory=list)
    sweeps: list[RawRun] = field(default_factory=list)
    listed: dict[str, list[ListedTrial]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def select(
    source: RunReader,
    uri: str,
    experiments: Sequence[str],
    parents: Sequence[str],
    *,
    allow_mixed: bool,
) -> Selection:
    """Find the runs that were asked for.

    Args:
        source: Where to look.
        uri: Its address.
        experiments: Names, or none for all.
        parents: Ids, beginnings of ids or names of sweeps. If neither experiments nor parents
            are named, it is the last sweep, or every run if there is no sweep.
        allow_mixed: Whether runs that are not trials are left out instead of refused.

    Raises:
        AnalysisError: If there is nothing, or what was named is not there.
    """
    experiment_names = source.experiments()
    experiment_ids = _experiments(experiment_names, experiments)
    runs = source.search(experiment_ids, SWEEP_TAG)
    # a sweep that was resumed keeps its start, so its end says how recent it is
    sweeps = sorted(runs, key=lambda run: max(run.started, run.ended), reverse=True)
    picked = [_parent(source, experiment_names, sweeps, name) for name in parents]
    selection = Selection()
    if not picked and not experiments and sweeps:
        picked = sweeps[:1]
        if len(sweeps) > 1:
            selection.notes.append(
                f"the last of {len(sweeps)} sweeps; choose others with --parent or --experiment"
            )
    selection.sweeps = picked or sweeps
    selection.listed = {run.run_id: read_listed(uri, run) for run in selection.sweeps}
    if picked:
        runs = _below(source, experiment_names, selection)
    else:
        runs = source.search(experiment_ids)
        runs = _trials_only(runs, sweeps, selection.notes, allow_mixed=allow_mixed)
    if not runs and not any(selection.listed.values()):
        where = (
            f"the sweep {picked[0].name}" if picked else _where(experiment_names, experiment_ids)
        )
        raise AnalysisError(f"no runs found in {where} at {uri}")
    selection.runs = _latest(runs, selection.notes)
    return selection


def _experiments(experiment_names: dict[str, str], wanted: Sequence[str]) -> list[str]:
    by_name = {name: key for key, name in experiment_names.items()}
    for name in wanted:
        if name not in by_name:
            raise AnalysisError(f"there is no experiment {name!r}; {near(name, by_name)}")
    return [by_name[name] for name in wanted] if wanted else list(experiment_names)


def _parent(
    source: RunReader, experiment_ids: Iterable[str], sweeps: Sequence[RawRun], name: str
) -> RawRun:
    by_id = (
        [run for run in sweeps if run.run_id.startswith(name)] if len(name) >= SHORTEST_ID else []
    )
    matching = by_id or [run for run in sweeps if run.name == name]
    if len(matching) == 1:
        return matching[0]
    if matching:
        lines = ", ".join(f"{run.run_id[:8]} of {_day(run.started)}" for run in matching)
        raise AnalysisError(f"parent {name!r} fits {len(matching)} sweeps: {lines}; give an id")
    trial = next(iter(source.fetch(experiment_ids, [name])), None)
    if trial is not None:
        above = trial.tags.get(PARENT_TAG, "")
        hint = f"its sweep is {above}" if above else "it belongs to no sweep"
        raise AnalysisError(f"parent {name!r} is a trial, {trial.name}; {hint}")
    hint = near(name, (run.name for run in sweeps))
    raise AnalysisError(f"there is no sweep {name!r}; {hint}")


def _below(source: RunReader, experiment_ids: Iterable[str], selection: Selection) -> list[RawRun]:
    """Return the trials of the chosen sweeps: below them, or finished before and listed."""
    runs: dict[str, RawRun] = {}
    for sweep in selection.sweeps:
        children = source.search(experiment_ids, PARENT_TAG, sweep.run_id)
        runs |= {run.run_id: run for run in children if FINGERPRINT_TAG in run.tags}
    listed_ids = [trial.run_id for listed in selection.listed.values() for trial in listed]
    earlier = [run_id for run_id in dict.fromkeys(listed_ids) if run_id and run_id not in runs]
    return [*runs.values(), *source.fetch(experiment_ids, earlier)]


def _trials_only(
    runs: Sequence[RawRun],
    sweeps: Sequence[RawRun],
    notes: list[str],
    *,
    allow_mixed: bool,
) -> list[RawRun]:
    sweep_ids = {run.run_id for run in sweeps}
    trials = [run for run in runs if FINGERPRINT_TAG in run.tags]
    foreign = [r for r in runs if FINGERPRINT_TAG not in r.tags and r.run_id not in sweep_ids]
    if not foreign:
        return trials
    names = ", ".join(run.name or run.run_id for run in foreign[:3])
    message = f"{len(foreign)} of {len(runs)} runs lack the tag {FINGERPRINT_TAG} ({names}, ...)"
    if not trials:
        raise AnalysisError(f"{message}: they were not written by erasure")
    if not allow_mixed:
        raise AnalysisError(
            f"{message}; name another --experiment, or --allow-mixed leaves them out"
        )
    notes.append(f"left out: {message}")
    return trials


def _latest(runs: Sequence[RawRun], notes: list[str]) -> list[RawRun]:
    """Return one run per trial: the last that finished, or else the last."""

    def merit(run: RawRun) -> tuple[bool, float]:
        return run.tags.get(OUTCOME_TAG) == "finished", run.started

    best: dict[str, RawRun] = {}
    for run in sorted(runs, key=merit):  # the last one written wins
        best[run.tags[FINGERPRINT_TAG]] = run
    if len(best) < len(runs):
        notes.append(f"{len(runs) - len(best)} runs are earlier attempts at the same trials")
    return sorted(best.values(), key=lambda run: run.started)


def refuse_mixed(properties: dict[str, list[str]], *, allow_mixed: bool) -> list[str]:
    """Refuse runs that differ in what should be the same.

    Args:
        properties: Values over the runs, by name of the property.
        allow_mixed: Return notes instead.

    Raises:
        AnalysisError: If a property has several values; the message names them.
    """
    notes = []
    for name, values in properties.items():
        counts = Counter(values)
        if len(counts) > 1:
            counted = ", ".join(f"{value} ({count} runs)" for value, count in counts.most_common())
            notes.append(f"the runs mix {name}: {counted}")
    if notes and not allow_mixed:
        raise AnalysisError(
            f"{'; '.join(notes)}; name one sweep with --parent, or accept it with --allow-mixed"
        )
    return notes


def _where(experiment_names: dict[str, str], experiment_ids: Sequence[str]) -> str:
    names = ", ".join(experiment_names[key] for key in experiment_ids)
    return (
        f"the experiment {names}"
        if len(experiment_ids) == 1
        else f"the experiments {names or '(none)'}"
    )


def _day(seconds: float) -> str:
    return f"{dt.datetime.fromtimestamp(seconds, tz=dt.UTC):%Y-%m-%d %H:%M} UTC"
