"""``erasure.leaderboard``: trials summed up, a row per setting, best first."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from erasure.config.flattened import build_flattened
from erasure.core.errors import ConfigError
from erasure.core.values import Meaning
from erasure.evaluation.evaluator import Evaluator
from erasure.evaluation.measure import meanings
from erasure.results.record import TrialResult
from erasure.schema import FINGERPRINT_TAG, OUTCOME_TAG, REASON_TAG, ROLES
from erasure.trial.outcome import FinishedRun
from multirun_analysis.errors import AnalysisError
from multirun_analysis.read.frame import Results
from multirun_analysis.read.in_memory import from_runs
from multirun_analysis.read.source import RawRun
from multirun_analysis.tables.settings import setting_table

if TYPE_CHECKING:
    import pandas as pd

Way: TypeAlias = Literal["minimize", "maximize"]

EVALUATOR = "evaluator."


def leaderboard(
    results: Sequence[TrialResult | FinishedRun],
    by: str | Mapping[str, Way] | None = None,
    metrics: Sequence[str] | None = None,
    *,
    level: float = 0.95,
) -> "pd.DataFrame":
    """Return a table of trials with a row per setting: trials that differ by seeds alone.

    It has the numbers and the order of the sweep's table and of the report. Means are over
    training seeds: trials with the same one share their models and are averaged first.

    Args:
        results: What came of the trials, failed ones included: what :func:`erasure.sweep` and
            ``trial.run()`` return, or what is recorded of them.
        by: What to rank by: the name of a metric, whose meaning says which way is better, or
            metrics with ``minimize`` or ``maximize``, the most important first. By default the
            objective of the trials, or else the average gap to the retrained model.
        metrics: Columns; by default the usual ones, and what is ranked by.
        level: Confidence of the intervals, in (0, 1).

    Returns:
        ``block`` (data set, model, split) and ``method``, with the settings that differ;
        ``reference``, whether it is a yardstick (retraining, or doing nothing), which come after
        the methods of their block; ``n`` trials, of which ``finished``; and of each metric ``m``
        the mean ``m``, ``m sd``, the interval from ``m low`` to ``m high``, and ``m n`` values.

    Raises:
        ConfigError: If there is no result, no trial has a metric, or nobody says which way it
            is better.

    Example:
        >>> import erasure
        >>> from erasure.results.record import TrialRecord, TrialResult
        >>> def result(alpha, seed, gap):
        ...     params = {"unlearner.alpha": str(alpha)}
        ...     tags = {"unlearner": "ssd", "seed.train": str(seed)}
        ...     name = f"ssd {alpha} {seed}"
        ...     trial = TrialRecord(name=name, fingerprint=name, params=params, tags=tags)
        ...     return TrialResult(trial=trial, outcome="finished", metrics={"gap/avg": gap})
        >>> results = [result(1, 0, 0.25), result(1, 1, 0.75), result(5, 0, 0.125)]
        >>> table = erasure.leaderboard(results, by={"gap/avg": "minimize"})
        >>> list(table["method"]), list(table["gap/avg"]), list(table["gap/avg n"])
        (['ssd (alpha=5)', 'ssd (alpha=1)'], [0.125, 0.5], [1, 2])
    """
    if not results:
        raise ConfigError("results must have at least one trial, got none")
    if not 0.0 < level < 1.0:
        raise ConfigError(f"level must be between 0 and 1, got {level}")
    tables = _tables([r.result if isinstance(r, FinishedRun) else r for r in results])
    ranked_by = None if by is None else _ranked_by(by, tables)
    try:
        return setting_table(tables, metrics, by=ranked_by, level=level)
    except AnalysisError as error:
        raise ConfigError(f"metrics or by: {error}") from error


def _tables(results: Sequence[TrialResult]) -> Results:
    """Return what the analysis would read of these trials if they were tracked."""
    # a trial that was read back is the trial itself: it counts once
    by_fingerprint = {result.trial.fingerprint: result for result in results}
    meanings_of: dict[tuple[tuple[str, str], ...], Mapping[str, Meaning]] = {}
    files: dict[str, dict[str, dict[str, Any]]] = {}
    for fingerprint, result in by_fingerprint.items():
        if result.outcome == "finished":
            params = result.trial.params
            key = tuple(sorted(item for item in params.items() if item[0].startswith(EVALUATOR)))
            if key not in meanings_of:
                meanings_of[key] = _meanings(params)
            files[fingerprint] = _entries(result.metrics, meanings_of[key])
    return from_runs([_run(result) for result in by_fingerprint.values()], files)


def _run(result: TrialResult) -> RawRun:
    trial = result.trial
    is_finished = result.outcome == "finished"
    ours = {
        FINGERPRINT_TAG: trial.fingerprint,
        OUTCOME_TAG: result.outcome,
        REASON_TAG: result.reason,
    }
    return RawRun(
        run_id=trial.fingerprint,
        name=trial.name,
        experiment="",
        status="FINISHED" if is_finished else "FAILED",
        started=result.started,
        ended=result.ended,
        artifact_uri="",
        tags={**trial.tags, **ours},
        params=trial.params,
        # as a sweep counts: what a trial measured before it failed is no result
        metrics=result.metrics if is_finished else {},
    )


def _meanings(params: Mapping[str, str]) -> dict[str, Meaning]:
    """Return the meaning of what the evaluator of a trial measures, by name."""
    if f"{EVALUATOR}_target_" not in params:
        return {}  # a record that somebody wrote by hand: its numbers stand for themselves
    evaluator: Evaluator = build_flattened(params, "evaluator")
    declared: dict[str, Meaning] = {}
    for metric in evaluator.metrics.values():
        declared |= meanings(metric, evaluator.heldout)
    return declared


def _entries(
    metrics: Mapping[str, float], declared: Mapping[str, Meaning]
) -> dict[str, dict[str, Any]]:
    """Return of each value that has a meaning what ``metrics.json`` says of it."""
    entries = {}
    for name, value in metrics.items():
        role, _, rest = name.partition("/")
        meaning = declared.get(rest if role in ROLES[1:] and rest in declared else name)
        if meaning is not None:
            entries[name] = {
                "value": value,
                "status": "ok",
                "direction": meaning.direction,
                "range": [meaning.low, meaning.high],
                "ideal": meaning.ideal,
                "description": meaning.description,
                "unit": meaning.unit,
            }
    return entries


def _ranked_by(by: str | Mapping[str, Way], tables: Results) -> Mapping[str, str]:
    """Return the metrics to rank by, with an empty text where the meaning says which way."""
    if not isinstance(by, str):
        for name, way in by.items():
            if way not in ("minimize", "maximize"):
                raise ConfigError(f"by[{name}] must be minimize or maximize, got {way!r}")
        return by
    if by in tables.objective:
        return {by: tables.objective[by]}
    if by in tables.schema and tables.schema[by].direction == "info":
        raise ConfigError(
            f"by must say which way {by} is better, which its meaning does not: "
            f"{{{by!r}: 'minimize'}} or 'maximize'"
        )
    return {by: ""}
