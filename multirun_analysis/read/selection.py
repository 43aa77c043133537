"""Which runs belong to an analysis, and why others do not."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from erasure.schema import FINGERPRINT_TAG, OUTCOME_TAG, PARENT_TAG, SWEEP_TAG
from multirun_analysis.errors import AnalysisError, near
from multirun_analysis.read.source import RawRun, Source
from multirun_analysis.read.sweep_files import Listed, read_books


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
    listed: dict[str, list[Listed]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def select(
    source: Source,
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
    known = source.experiments()
    chosen = _experiments(known, experiments)
    found = source.search(chosen, SWEEP_TAG)
    sweeps = sorted(found, key=lambda run: max(run.started, run.ended), reverse=True)
    picked = [_parent(source, known, sweeps, name) for name in parents]
    selection = Selection()
    if not picked and not experiments and sweeps:
        picked = sweeps[:1]
        if len(sweeps) > 1:
            selection.notes.append(
                f"the last of {len(sweeps)} sweeps; choose others with --parent or --experiment"
            )
    selection.sweeps = picked or sweeps
    selection.listed = {run.run_id: read_books(uri, run) for run in selection.sweeps}
    if picked:
        found = _below(source, known, selection)
    else:
        found = source.search(chosen)
        found = _trials_only(found, sweeps, selection.notes, allow_mixed=allow_mixed)
    if not found and not any(selection.listed.values()):
        where = f"the sweep {picked[0].name}" if picked else _where(known, chosen)
        raise AnalysisError(f"no runs found in {where} at {uri}")
    selection.runs = _latest(found, selection.notes)
    return selection


def _experiments(known: dict[str, str], wanted: Sequence[str]) -> list[str]:
    by_name = {name: key for key, name in known.items()}
    for name in wanted:
        if name not in by_name:
            raise AnalysisError(f"there is no experiment {name!r}; {near(name, by_name)}")
    return [by_name[name] for name in wanted] if wanted else list(known)


def _parent(source: Source, known: Iterable[str], sweeps: Sequence[RawRun], name: str) -> RawRun:
    by_id = [run for run in sweeps if run.run_id.startswith(name)] if len(name) >= 4 else []
    matching = by_id or [run for run in sweeps if run.name == name]
    if len(matching) == 1:
        return matching[0]
    if matching:
        lines = ", ".join(f"{run.run_id[:8]} of {_day(run.started)}" for run in matching)
        raise AnalysisError(f"parent {name!r} fits {len(matching)} sweeps: {lines}; give an id")
    trial = next(iter(source.fetch(known, [name])), None)
    if trial is not None:
        above = trial.tags.get(PARENT_TAG, "")
        hint = f"its sweep is {above}" if above else "it belongs to no sweep"
        raise AnalysisError(f"parent {name!r} is a trial, {trial.name}; {hint}")
    hint = near(name, (run.name for run in sweeps))
    raise AnalysisError(f"there is no sweep {name!r}; {hint}")


def _below(source: Source, known: Iterable[str], selection: Selection) -> list[RawRun]:
    """Return the trials of the chosen sweeps: below them, or finished before and listed."""
    found: dict[str, RawRun] = {}
    for sweep in selection.sweeps:
        children = source.search(known, PARENT_TAG, sweep.run_id)
        found |= {run.run_id: run for run in children if FINGERPRINT_TAG in run.tags}
    listed = [one.run_id for trials in selection.listed.values() for one in trials]
    earlier = [run_id for run_id in dict.fromkeys(listed) if run_id and run_id not in found]
    return [*found.values(), *source.fetch(known, earlier)]


def _trials_only(
    runs: Sequence[RawRun],
    sweeps: Sequence[RawRun],
    notes: list[str],
    *,
    allow_mixed: bool,
) -> list[RawRun]:
    above = {run.run_id for run in sweeps}
    trials = [run for run in runs if FINGERPRINT_TAG in run.tags]
    foreign = [r for r in runs if FINGERPRINT_TAG not in r.tags and r.run_id not in above]
    if not foreign:
        return trials
    names = ", ".join(run.name or run.run_id for run in foreign[:3])
    told = f"{len(foreign)} of {len(runs)} runs lack the tag {FINGERPRINT_TAG} ({names}, ...)"
    if not trials:
        raise AnalysisError(f"{told}: they were not written by erasure")
    if not allow_mixed:
        raise AnalysisError(f"{told}; name another --experiment, or --allow-mixed leaves them out")
    notes.append(f"left out: {told}")
    return trials


def _latest(runs: Sequence[RawRun], notes: list[str]) -> list[RawRun]:
    """Return one run per trial: the last that finished, or else the last."""

    def merit(run: RawRun) -> tuple[bool, float]:
        return run.tags.get(OUTCOME_TAG) == "finished", run.started

    best: dict[str, RawRun] = {}
    for run in sorted(runs, key=merit):
        best[run.tags[FINGERPRINT_TAG]] = run
    if len(best) < len(runs):
        notes.append(f"{len(runs) - len(best)} runs are earlier attempts at the same trials")
    return sorted(best.values(), key=lambda run: run.started)


def refuse_mixed(facts: dict[str, list[str]], *, allow_mixed: bool) -> list[str]:
    """Refuse runs that differ in a fact that should be the same.

    Args:
        facts: Values over the runs, by name of the fact.
        allow_mixed: Return notes instead.

    Raises:
        AnalysisError: If a fact has several values; the message names them.
    """
    notes = []
    for name, values in facts.items():
        counts = Counter(values)
        if len(counts) > 1:
            told = ", ".join(f"{value} ({count} runs)" for value, count in counts.most_common())
            notes.append(f"the runs mix {name}: {told}")
    if notes and not allow_mixed:
        raise AnalysisError(
            f"{'; '.join(notes)}; name one sweep with --parent, or accept it with --allow-mixed"
        )
    return notes


def _where(known: dict[str, str], chosen: Sequence[str]) -> str:
    names = ", ".join(known[key] for key in chosen)
    return (
        f"the experiment {names}" if len(chosen) == 1 else f"the experiments {names or '(none)'}"
    )


def _day(seconds: float) -> str:
    return f"{dt.datetime.fromtimestamp(seconds, tz=dt.UTC):%Y-%m-%d %H:%M} UTC"
