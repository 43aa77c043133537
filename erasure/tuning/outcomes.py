"""How a trial of a study ended that has no value, and what that says about the other trials."""

import json
import math
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from erasure.schema import METRICS_FILE
from erasure.sweeps.run_results import RunResult
from erasure.trial.objective import Objective
from erasure.tuning.client import TrialOutcome


def without_values(run_result: RunResult, seed: int) -> TrialOutcome:
    """Return the outcome of a trial of which the run with ``seed`` did not finish."""
    outcome = run_result.result.outcome if run_result.result else "failed"
    # Diverging is what a setting does: Optuna learns from pruned trials, and not from failed ones
    state = TrialState.PRUNED if outcome in ("pruned", "diverged") else TrialState.FAIL
    kind = "diverged: " if outcome == "diverged" else ""
    return TrialOutcome(state=state, reason=f"seed {seed}: {kind}{run_result.reason}")


def unmeasured(run_result: RunResult, objective: Objective, artifacts: Path) -> tuple[str, bool]:
    """Return which values of the objective a finished run lacks and why, or nothing.

    Args:
        run_result: The run.
        objective: What had to be measured.
        artifacts: The files of the run, among them what the metrics themselves say.

    Returns:
        The reason in one line, and whether it would be the same for every setting: samples are
        too few, or something is missing that no setting provides.
    """
    values = run_result.metrics
    names = [name for name in objective.names if math.isnan(values.get(name, math.nan))]
    entries = {name: _entry(artifacts, name) for name in names}
    reason = "; ".join(f"{name} was not measured{_why(entry)}" for name, entry in entries.items())
    return reason, any(_is_for_all(entry) for entry in entries.values())


def _entry(artifacts: Path, name: str) -> dict[str, Any]:
    try:
        entries = json.loads((artifacts / METRICS_FILE).read_text(encoding="utf-8"))
        return dict(entries[name])
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # not there, or of another version


def _why(entry: dict[str, Any]) -> str:
    parts = [str(entry[key]) for key in ("reason", "counts") if entry.get(key)]
    return f" ({': '.join(parts)})" if parts else ""


def _is_for_all(entry: dict[str, Any]) -> bool:
    return bool(entry.get("counts")) or entry.get("status") == "skipped"
