"""Rows of the table of runs, made of tags and parameters alone."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from erasure.schema import (
    CHOICE_TAGS,
    COMMIT_TAG,
    DIRTY_TAG,
    FINGERPRINT_TAG,
    HOST_TAG,
    OUTCOME_TAG,
    PARENT_TAG,
    REASON_TAG,
    STORE_TAG,
    is_yardstick,
)
from multirun_analysis.read.conditions import TrialSetup, label
from multirun_analysis.read.frame import SEEDS
from multirun_analysis.read.source import RawRun

if TYPE_CHECKING:
    import pandas as pd

OBJECTIVE = "objective.metrics."


def row_of(run: RawRun) -> dict[str, Any]:
    """Return what a run says of itself."""
    tags, params = run.tags, run.params
    # cuda:0 and cuda:1 are the same hardware
    device = params.get("device", "unknown device").partition(":")[0]
    threads = params.get("threads", "?")
    host = tags.get(HOST_TAG, "unknown host")
    return {
        "run_id": run.run_id,
        "name": run.name,
        "parent": tags.get(PARENT_TAG, ""),
        "experiment": run.experiment,
        "outcome": tags.get(OUTCOME_TAG, "running"),
        # a reason may have several lines, a cell of a table has one
        "reason": " ".join(tags.get(REASON_TAG, "").split()),
        "commit": tags.get(COMMIT_TAG, ""),
        "dirty": tags.get(DIRTY_TAG) == "true",
        "host": host,
        "device": device,
        "hardware": f"{host}, device={device}, threads={threads}",
        "started": run.started,
        "fingerprint": tags[FINGERPRINT_TAG],
        "store_original": tags.get(f"{STORE_TAG}original", ""),
        "store_gold": tags.get(f"{STORE_TAG}gold", ""),
        "artifact_uri": run.artifact_uri,
    }


def with_labels(
    rows: Sequence[Mapping[str, Any]], setups: Sequence[TrialSetup]
) -> list[dict[str, Any]]:
    """Add what was chosen, and the block and method that runs are compared as.

    Args:
        rows: One per trial.
        setups: How each was set up.
    """
    return [
        {
            **row,
            **_choices(setup.tags),
            "target": (target := setup.settings.get("unlearner._target_", "")),
            "block": labels.block,
            "method": labels.method,
            "condition": labels.condition,
            "reference": is_yardstick(target, setup.tags.get("unlearner", "")),
        }
        for row, setup, labels in zip(rows, setups, label(setups), strict=True)
    ]


def objectives_of(runs: Sequence[RawRun]) -> list[dict[str, str]]:
    """Return the distinct objectives of the runs."""
    objectives = []
    for run in runs:
        chosen = {
            key.removeprefix(OBJECTIVE): value
            for key, value in run.params.items()
            if key.startswith(OBJECTIVE)
        }
        if chosen and chosen not in objectives:
            objectives.append(chosen)
    return objectives


def run_table(records: Sequence[Mapping[str, Any]]) -> "pd.DataFrame":
    """Return the rows as a table, whole numbers as such."""
    import pandas as pd

    frame = pd.DataFrame(list(records))
    integer_columns = ("seed", *SEEDS)
    # nullable: one unknown seed would turn a column of whole numbers into floats
    return frame.astype(dict.fromkeys(integer_columns, "Int64"))


def _choices(tags: Mapping[str, str]) -> dict[str, Any]:
    seeds = {name: _whole(tags.get(name.replace("_", "."))) for name in SEEDS}
    named = {name: tags.get(name, "") for name in CHOICE_TAGS}
    return {**named, "seed": _whole(tags.get("seed")), **seeds}


def _whole(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:
        return None
