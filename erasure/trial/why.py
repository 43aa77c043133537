"""Why a trial runs although something like it finished before."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from erasure.core.source import modules_here
from erasure.results.record import TrialRecord, TrialResult
from erasure.results.store import FinishedTrial, ResultStore
from erasure.trial.artifacts import missing_artifacts
from erasure.trial.checks import check_keys
from erasure.trial.data import current_data_fingerprint
from erasure.trial.places import build_tracker
from erasure.trial.trial import DATA_TAG, Trial

LOOKED_AT = 20
"""Trials with other settings whose causes are read, the latest; each takes a fraction of a ms."""

TOLD = 3
"""Differences of one sort that are told one by one."""

Causes = Mapping[str, Mapping[str, Any]]


def why_again(trial: TrialRecord, store: ResultStore, *, same_settings: bool = False) -> str:
    """Return in one line why ``trial`` runs, or nothing if no trial like it has finished.

    It is compared with the latest one of the same settings if there is one, else with that among
    the latest that differs in the fewest settings.

    Args:
        trial: What is about to run; its own result is not looked at.
        store: The results there are.
        same_settings: Compare with a trial of the same settings or with none; in a sweep others
            run because they were asked for.
    """
    like = [each for each in store.finished_like(trial) if each.fingerprint != trial.fingerprint]
    same = [each for each in like if each.same_settings]
    candidates = same[:1] if same or same_settings else like[:LOOKED_AT]
    compared = [(each, store.causes(each.fingerprint)) for each in candidates]
    readable = [(each, causes) for each, causes in compared if causes]
    if not readable:
        return ""
    # the latest come first, and min returns the first of equals
    earlier, before = min(readable, key=lambda pair: len(_settings(pair[1], trial.causes)))
    return f"runs again: {'; '.join(differences(before, trial.causes, _date_of(earlier)))}"


def what_would_happen(trial: Trial, store: ResultStore) -> str:
    """Return in one line whether a trial would run, and why; nothing is run.

    Raises:
        ErasureError: If a setting is wrong. Those of the model are seen when it is built.
    """
    check_keys(trial.settings)
    trial.check_components()
    build_tracker(trial.settings)
    result = store.find(trial.fingerprint)
    if result is None:
        return why_again(trial.record, store) or "never ran"
    date = format_day(result.ended)
    if result.outcome != "finished":
        return f"runs again: {result.outcome} on {date}: {result.reason}"
    if not trial.settings["resume"]:
        return f"finished before on {date}, and resume=false runs it again"
    reason = outdated(result, current_data_fingerprint(trial.settings), store, trial.settings)
    return reason or f"finished before on {date}, would be read back"


def outdated(
    result: TrialResult, data: str, store: ResultStore, settings: Mapping[str, Any]
) -> str:
    """Return in one line why a finished trial is not read back, or nothing if it is.

    Args:
        result: What came of it.
        data: Fingerprint of its data as they are now.
        store: Where the result is.
        settings: Those of the trial, which say what artifacts there should be.
    """
    date = format_day(result.ended)
    if result.trial.tags.get(DATA_TAG, data) != data:
        return f"runs again: the data changed since {date}"
    missing = missing_artifacts(store.artifacts(result.trial.fingerprint), settings)
    if missing:
        return f"runs again: finished on {date} without {', '.join(missing)}"
    return ""


def differences(before: Causes, now: Causes, date: str) -> list[str]:
    """Return in words what is not the same in the causes of two trials.

    Args:
        before: Causes of the earlier one.
        now: Causes of the later one.
        date: When the earlier one ended, as it is written in a sentence.
    """
    settings = _settings(before, now)
    libraries = [
        f"{each.name} is {each.now or 'not used'}, was {each.before or 'not used'}"
        for each in _changed(before, now, "libraries")
    ]
    files = [
        f"the files of {each.name} changed since {date}"
        for each in _changed(before, now, "files")
        if each.name.partition("=")[0] not in {one.partition(" ")[0] for one in settings}
    ]
    modules = _modules(before, now, date)
    sections = (_shortened(settings, "settings"), libraries, files, modules)
    every = [line for section in sections for line in section]
    return every or ["another version of erasure makes other results"]


def format_day(moment: float, now: float | None = None) -> str:
    """Return a day for a sentence, ``3 November``; with the time today, with the year long ago."""
    then, today = time.localtime(moment), time.localtime(now)
    day = f"{then.tm_mday} {time.strftime('%B', then)}"
    if then.tm_year != today.tm_year:
        return f"{day} {then.tm_year}"
    same_day = then.tm_yday == today.tm_yday
    return f"{day}, {time.strftime('%H:%M', then)}" if same_day else day


@dataclass(frozen=True)
class _Change:
    """A cause that two trials do not share; None where there was none."""

    name: str
    before: Any
    now: Any


def _changed(before: Causes, now: Causes, section: str) -> list[_Change]:
    old, new = before.get(section, {}), now.get(section, {})
    # What was written as JSON comes back with lists for tuples; both are written alike again.
    return [
        _Change(name, old.get(name), new.get(name))
        for name in sorted({*old, *new})
        if _written(old, name) != _written(new, name)
    ]


def _written(section: Mapping[str, Any], name: str) -> str | None:
    value = section.get(name)
    if name not in section:
        return None
    return str(list(value) if isinstance(value, tuple) else value)


def _settings(before: Causes, now: Causes) -> list[str]:
    lines = []
    for each in _changed(before, now, "config"):
        if each.name not in before.get("config", {}):
            lines.append(f"{each.name} is {each.now}, was not set")
        elif each.name not in now.get("config", {}):
            lines.append(f"{each.name} is not set, was {each.before}")
        else:
            lines.append(f"{each.name} is {each.now}, was {each.before}")
    return lines


def _modules(before: Causes, now: Causes, date: str) -> list[str]:
    """Tell which modules changed; that others came or went follows from a change in these."""
    changes = _changed(before, now, "modules")
    edited = [each for each in changes if each.before is not None and each.now is not None]
    if edited:
        paths = [_path(each.name) for each in edited]
        rest = len(paths) - TOLD
        listed = ", ".join(paths[:TOLD]) if rest > 0 else _enumerated(paths)
        others = f" and {rest} other{'s' * (rest > 1)}" if rest > 0 else ""
        return [f"{listed}{others} changed since {date}"]
    lines = [
        f"{_path(each.name)} is {'no longer ' * (each.now is None)}used since {date}"
        for each in changes
    ]
    other_settings = bool(_changed(before, now, "config"))
    return [] if other_settings else _shortened(lines, "modules")


def _path(module: str) -> str:
    """Return the file of a module as people know it: ``training/gradients.py``."""
    file = modules_here().file(module)
    inner = f"{module.replace('.', '/')}{'/__init__' * bool(file and file.stem == '__init__')}.py"
    return inner.removeprefix("erasure/")


def _enumerated(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _shortened(lines: list[str], what: str) -> list[str]:
    rest = len(lines) - TOLD
    # a single line more is told, not counted
    return [*lines[:TOLD], f"{rest} other {what} differ"] if rest > 1 else lines


def _date_of(trial: FinishedTrial) -> str:
    return format_day(trial.ended)
