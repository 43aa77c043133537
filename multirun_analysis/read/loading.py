"""From an MLflow database or server to tidy tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from erasure.schema import COMMAND_TAG, COMMIT_TAG, FINGERPRINT_TAG, SWEEP_TAG
from multirun_analysis.read.conditions import TrialSetup
from multirun_analysis.read.frame import Results, SweepRun
from multirun_analysis.read.measurements import measure
from multirun_analysis.read.rows import objectives_of, row_of, run_table, with_labels
from multirun_analysis.read.selection import Selection, refuse_mixed, select
from multirun_analysis.read.source import RawRun
from multirun_analysis.read.sweep_files import ListedTrial
from multirun_analysis.read.tracking import default_uri, open_source


def load(
    uri: str = "",
    experiments: Sequence[str] | None = None,
    parents: Sequence[str] | None = None,
    *,
    allow_mixed: bool = False,
) -> Results:
    """Read trials and what they measured.

    Args:
        uri: Tracking database or server; empty for ``MLFLOW_TRACKING_URI``, or else
            ``mlruns/mlflow.db`` in the current folder.
        experiments: Names of experiments; all their trials are read.
        parents: Sweeps, by id, beginning of an id, or name; their trials are read, those that
            had finished before included. If neither is given, it is the last sweep, and every
            trial where there is no sweep.
        allow_mixed: Accept runs of several commits or machines, and leave runs out that are not
            trials, with a note, instead of refusing them.

    Raises:
        AnalysisError: If there is nothing to read, or it would be misleading; the message says
            what to do.
    """
    uri = uri or default_uri()
    selection = select(
        open_source(uri), uri, experiments or (), parents or (), allow_mixed=allow_mixed
    )
    listed_trials = {
        trial.fingerprint: trial for of_sweep in selection.listed.values() for trial in of_sweep
    }
    records = _records(selection, listed_trials)
    finished = [record for record in records if record["outcome"] == "finished"]
    notes = [
        *selection.notes,
        *refuse_mixed(_same_in_all(finished), allow_mixed=allow_mixed),
        *_remarks(finished, selection),
    ]
    outcomes = {record["run_id"]: (record["outcome"], record["reason"]) for record in records}
    measured = measure(uri, selection.runs, outcomes)
    objectives = objectives_of(selection.runs)
    if len(objectives) > 1:
        notes.append("the trials were ranked by several objectives")
    return Results(
        runs=run_table(records),
        values=measured.values,
        params={run.run_id: run.params for run in selection.runs},
        schema=measured.schema,
        sweeps=[_sweep(run, selection) for run in selection.sweeps],
        objective=objectives[0] if len(objectives) == 1 else {},
        uri=uri,
        notes=[*notes, *measured.notes],
    )


def _records(selection: Selection, listed: Mapping[str, ListedTrial]) -> list[dict[str, Any]]:
    """Return one row per trial, those that have no run last."""
    tracked = {run.tags[FINGERPRINT_TAG] for run in selection.runs}
    untracked = [
        listed_trial for fingerprint, listed_trial in listed.items() if fingerprint not in tracked
    ]
    setups = [_setup(run, listed.get(run.tags[FINGERPRINT_TAG])) for run in selection.runs]
    setups += [
        TrialSetup(tags=listed_trial.tags, settings=listed_trial.settings, complete=False)
        for listed_trial in untracked
    ]
    rows = [row_of(run) for run in selection.runs]
    rows += [_of_listed(listed_trial, selection) for listed_trial in untracked]
    return with_labels(rows, setups)


def _setup(run: RawRun, listed: ListedTrial | None) -> TrialSetup:
    """Return how a run was set up; a process that died wrote no parameters, its sweep knows."""
    if run.params or listed is None:
        return TrialSetup(tags=run.tags, settings=run.params, complete=bool(run.params))
    return TrialSetup(tags=run.tags, settings=listed.settings, complete=False)


def _of_listed(trial: ListedTrial, selection: Selection) -> dict[str, Any]:
    sweep = next(run for run in selection.sweeps if trial in selection.listed[run.run_id])
    texts = ("commit", "host", "device", "hardware", "store_original", "store_gold")
    return {
        **dict.fromkeys(texts, ""),
        "run_id": f"not run:{trial.fingerprint}",
        "name": trial.name,
        "parent": sweep.run_id,
        "experiment": sweep.experiment,
        "outcome": "not run" if trial.state == "not run" else "failed",
        "reason": " ".join(trial.reason.split()) or trial.state,
        "dirty": False,
        "started": 0.0,
        "fingerprint": trial.fingerprint,
        "artifact_uri": "",
    }


def _same_in_all(finished: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    return {
        "commits": [record["commit"][:12] or "unknown" for record in finished],
        "hardware": [record["hardware"] for record in finished],
    }


def _remarks(finished: Sequence[Mapping[str, Any]], selection: Selection) -> list[str]:
    notes = []
    dirty = sum(record["dirty"] for record in finished)
    if dirty:
        notes.append(f"{dirty} of {len(finished)} runs had source files that were not committed")
    running = [run.name for run in selection.sweeps if run.status == "RUNNING"]
    if running:
        notes.append(f"not closed, running or killed: {', '.join(running)}")
    return notes


def _sweep(run: RawRun, selection: Selection) -> SweepRun:
    listed = selection.listed[run.run_id]
    return SweepRun(
        run_id=run.run_id,
        name=run.name,
        experiment=run.experiment,
        command=run.tags.get(COMMAND_TAG, ""),
        fingerprint=run.tags.get(SWEEP_TAG, ""),
        commit=run.tags.get(COMMIT_TAG, ""),
        started=run.started,
        artifact_uri=run.artifact_uri,
        overrides={trial.fingerprint: list(trial.overrides) for trial in listed},
    )
