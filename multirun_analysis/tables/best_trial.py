"""The best trial, and the command that repeats it."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from erasure.schema import single_run_words, trial_words
from multirun_analysis.errors import AnalysisError
from multirun_analysis.read.frame import MetricMeaning, Results, SweepRun
from multirun_analysis.statistics import one_metric, to_cost
from multirun_analysis.tables.aggregation import check_metrics

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

GROUPS = ("dataset", "split", "model", "trainer", "unlearner", "evaluator")
SETTINGS = ("precision", "threads", "device", "seed", "seeds")
KEPT = "hydra.searchpath"
"""The one setting of Hydra's that a single trial needs: where outside packages are."""


@dataclass(frozen=True, kw_only=True)
class BestTrial:
    """The best trial of a block.

    Args:
        block: Data set, model and split.
        run_id: Its run.
        name: Its name.
        metric: What it is best in.
        value: Its value.
        others: Number of trials it was chosen from.
        heldout: The part it was chosen on: ``val`` or ``test``.
        command: What repeats it.
    """

    block: str
    run_id: str
    name: str
    metric: str
    value: float
    others: int
    heldout: str
    command: str


def best(results: Results, metric: str = "") -> list[BestTrial]:
    """Return the best trial of every block; yardsticks and failed trials do not count.

    Args:
        results: What was loaded.
        metric: What to judge by; empty for the first objective of the trials, or ``gap/avg``.

    Raises:
        AnalysisError: If no run has the metric, it is not judged, or no trial has a value.
    """
    name = metric or next(iter(results.objective), "gap/avg")
    check_metrics(results, [name])
    wide = one_metric(results.runs, results.values, name)
    meaning = results.schema[name]
    optimize = results.objective.get(name, "")
    if not optimize and meaning.direction == "info":
        raise AnalysisError(f"metric {name!r} has no better and worse, it is information")
    wide["cost"] = _costs(wide, meaning, optimize)
    judged = wide[~wide["reference"] & wide["cost"].notna()]
    if judged.empty:
        raise AnalysisError(f"no trial of a method has a value of {name!r}")
    best_trials = []
    for block, group in judged.groupby("block", sort=False):
        row = group.loc[group["cost"].idxmin()]
        best_trials.append(
            BestTrial(
                block=str(block),
                run_id=row["run_id"],
                name=row["name"],
                metric=name,
                value=float(row["unlearned"]),
                others=len(group) - 1,
                heldout=results.params.get(row["run_id"], {}).get("evaluator.heldout", ""),
                command=command(results, row["run_id"]),
            )
        )
    return best_trials


def command(results: Results, run_id: str) -> str:
    """Return the command that runs one trial again.

    It is that of its sweep with the trial's own overrides in place of the swept ones; a trial
    without a sweep gets its whole configuration spelled out.
    """
    row = results.runs[results.runs["run_id"] == run_id].iloc[0]
    return command_of(results, row.to_dict())


def command_of(results: Results, run: Mapping[str, Any]) -> str:
    """Return the same for a row of the runs."""
    for sweep in results.sweeps:
        overrides = sweep.overrides.get(run["fingerprint"])
        if overrides is not None and sweep.command:
            return _from_sweep(sweep, overrides)
    tags = {name: str(run[name]) for name in GROUPS}
    return _from_settings(tags, results.params.get(run["run_id"], {}))


def _costs(wide: "pd.DataFrame", meaning: MetricMeaning, optimize: str) -> "np.ndarray":
    """Return what is best where it is least: as the objective wants it, or else the metric."""
    if optimize or meaning.direction == "info":
        return to_cost(wide["unlearned"], "max" if optimize == "maximize" else "min")
    gold = wide["gold"]
    return to_cost(wide["unlearned"], meaning.direction, gold=gold, ideal=meaning.ideal)


def _from_sweep(sweep: SweepRun, overrides: Sequence[str]) -> str:
    words = single_run_words(shlex.split(sweep.command))
    # what the sweep swept gives way to the overrides of the trial
    kept = [word for word in words if not _is_override(word)]
    return shlex.join([*kept, *overrides])


def _is_override(word: str) -> bool:
    # ~key takes a setting away
    sets_something = not word.startswith("-") and ("=" in word or word.startswith("~"))
    return sets_something and not word.lstrip("+").startswith(KEPT)


def _from_settings(tags: Mapping[str, str], params: Mapping[str, str]) -> str:
    chosen = [f"{group}={choice}" for group, choice in tags.items() if choice]
    settings = [
        f"{key}={_spelled(value)}"
        for key, value in params.items()
        if key.partition(".")[0] in (*GROUPS, *SETTINGS) and not _is_made(key, tags)
    ]
    return shlex.join(trial_words([*chosen, *settings]))


def _is_made(key: str, tags: Mapping[str, str]) -> bool:
    """Tell whether the chosen option of a group sets ``key`` in a way nobody changes."""
    group, _, rest = key.partition(".")
    if group == "evaluator":
        return True
    return rest.endswith(("_target_", "_partial_")) and tags.get(group) != "custom"


def _spelled(value: str) -> str:
    special = {"None": "null", "True": "true", "False": "false", "": "''"}
    if value in special:
        return special[value]
    # lists and mappings stay as they are, and so does what Hydra reads without quotation marks
    if value[0] in "[{" or re.fullmatch(r"[-\w./:+@%*?|\\]+", value):
        return value
    # in quotation marks a backslash is one, but before such a mark
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + m[2].replace("'", "\\'"), value)
    return f"'{escaped}'"
