"""Means over seeds, with intervals, per method, block and metric."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from erasure.schema import MAIN_METRICS
from multirun_analysis.errors import AnalysisError, near
from multirun_analysis.read.frame import MetricMeaning, Results
from multirun_analysis.statistics import interval_table, null_table, one_metric, to_cost

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

ROW = ("block", "method", "role", "reference")
STATED = ("mean", "sd", "low", "high", "n_ok", "n", "units", "interval")
GAPS = ("gap", "gap_low", "gap_high")
COSTS = ("cost", "cost_low", "cost_high")
ENDS = ("mean", "low", "high")
NULLS = ("null_low", "null_high", "indistinguishable", "not_discriminative")
COLUMNS = (*ROW, "metric", *STATED, *GAPS, *COSTS, *NULLS, "missing")


def main_metrics(results: Results) -> list[str]:
    """Return the metrics of a leaderboard: the usual ones, and what the trials are ranked by."""
    wanted = dict.fromkeys([*MAIN_METRICS, *results.objective])
    return [name for name in wanted if name in results.schema]


def check_metrics(results: Results, metrics: Sequence[str]) -> None:
    """Refuse metrics that no run has.

    Raises:
        AnalysisError: With names that are near.
    """
    for name in metrics:
        if name not in results.schema:
            raise AnalysisError(f"no run has the metric {name!r}; {near(name, results.schema)}")


def aggregate(
    results: Results, metrics: Sequence[str] | None = None, *, level: float = 0.95
) -> "pd.DataFrame":
    """Return one row per method, block and metric, over the seeds.

    The unit of an interval is a training seed: runs with the same one share the original and
    the gold model, and are averaged first. With fewer than two there is no interval. The
    original and the gold model have rows of their own, one model counted once.

    Args:
        results: What was loaded.
        metrics: Names; by default those of :func:`main_metrics`.
        level: Confidence of the intervals, in (0, 1).

    Returns:
        ``block``, ``method``, ``role`` (``unlearned``, ``original``, ``gold``), ``reference``
        (whether it is no candidate for the best), ``metric``; ``mean``, ``sd``, ``low``,
        ``high``, ``n_ok`` values of ``n`` runs, ``units``, ``interval`` (why there is none, or
        empty); ``gap``, ``gap_low``, ``gap_high``: mean distance of a run from its gold model;
        ``cost``, ``cost_low``, ``cost_high``: the same in a form of which less is better;
        ``null_low``, ``null_high``, ``indistinguishable``, ``not_discriminative``: the band of
        retrained models and where the method is; ``missing``: reasons for missing values.

    Raises:
        AnalysisError: If no run has a metric.
    """
    import pandas as pd

    chosen = main_metrics(results) if metrics is None else list(metrics)
    check_metrics(results, chosen)
    tables = [_metric(results, name, level) for name in chosen]
    if not tables:
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.concat(tables, ignore_index=True)[list(COLUMNS)]


def _metric(results: Results, metric: str, level: float) -> "pd.DataFrame":
    meaning = results.schema[metric]
    wide = one_metric(results.runs, results.values, metric)
    methods = wide.assign(role="unlearned", value=wide["unlearned"])
    models = [_models(wide, role) for role in ("original", "gold")]
    rows = _stack([methods, *models])
    rows["gap"] = _gaps(rows, meaning)
    table = _intervals(rows, "value", level).rename(columns={"reason": "interval"})
    gap = _intervals(rows, "gap", level).rename(columns=dict(zip(ENDS, GAPS, strict=True)))
    table = table.merge(gap[[*ROW, *GAPS]], on=list(ROW)).assign(metric=metric)
    table = _with_costs(table, rows, meaning, level)
    table = table.merge(
        _nulls(methods, meaning, level), on=["block", "method", "role"], how="left"
    )
    return table.merge(_missing(results, methods, metric), on=list(ROW), how="left").fillna(
        {"missing": ""}
    )


def _models(wide: "pd.DataFrame", role: str) -> "pd.DataFrame":
    """Return one row per original or gold model, as a method of that name.

    Trials of several methods share them. A method with a trainer of its own has its own.
    """
    import pandas as pd

    rows = wide[wide[role].notna()]
    # the key in the store tells models apart; runs without a store have their seeds
    key = rows[f"store_{role}"].where(
        rows[f"store_{role}"] != "",
        rows["seed_split"].astype(str) + "/" + rows["seed_train"].astype(str),
    )
    rows = rows.assign(key=key, role=role, reference=True, value=rows[role])
    rows = rows.drop_duplicates(["block", "trainer", "key"])
    trainers = rows.groupby("block")["trainer"].transform("nunique")
    names = pd.Series(role, index=rows.index).where(
        trainers <= 1, role + " (trainer=" + rows["trainer"] + ")"
    )
    return rows.assign(method=names)


def _stack(tables: Sequence["pd.DataFrame"]) -> "pd.DataFrame":
    import pandas as pd

    columns = [*ROW, "value", "gold", "seed_train"]
    return pd.concat([table[columns] for table in tables if len(table)], ignore_index=True)


def _with_costs(
    table: "pd.DataFrame", rows: "pd.DataFrame", meaning: MetricMeaning, level: float
) -> "pd.DataFrame":
    """Add the metric in a form of which less is better, NaN where it is not judged."""
    if meaning.direction == "info":
        return table.assign(**dict.fromkeys(COSTS, float("nan")))
    is_gap = meaning.direction == "closer_to_gold" and meaning.ideal is None
    if meaning.direction == "min" or is_gap:
        source = GAPS if is_gap else ENDS
        return table.assign(
            **{cost: table[name] for cost, name in zip(COSTS, source, strict=True)}
        )
    if meaning.direction == "max":
        mirrored = dict(zip(COSTS, ("mean", "high", "low"), strict=True))  # negation swaps ends
        return table.assign(**{cost: -table[name] for cost, name in mirrored.items()})
    costs = to_cost(rows["value"], meaning.direction, gold=rows["gold"], ideal=meaning.ideal)
    cost_table = _intervals(rows.assign(cost=costs), "cost", level)
    cost_table = cost_table.rename(columns=dict(zip(ENDS, COSTS, strict=True)))
    return table.merge(cost_table[[*ROW, *COSTS]], on=list(ROW))


def _gaps(rows: "pd.DataFrame", meaning: MetricMeaning) -> "np.ndarray":
    """Return the distance of every run from its gold model, NaN for what is relative to it."""
    import numpy as np

    if meaning.has_own_ideal:
        return np.full(len(rows), np.nan)
    return to_cost(rows["value"], "closer_to_gold", gold=rows["gold"])


def _intervals(rows: "pd.DataFrame", value: str, level: float) -> "pd.DataFrame":
    """Return one interval per row of the table; averaging single runs first is left out."""
    key = [*ROW, "seed_train"]
    plain = rows["seed_train"].notna().all() and not rows.duplicated(key).any()
    # one run per seed, the usual case, needs no clusters, and they cost time
    cluster = None if plain else "seed_train"
    return interval_table(rows, by=list(ROW), value=value, cluster=cluster, level=level)


def _nulls(methods: "pd.DataFrame", meaning: MetricMeaning, level: float) -> "pd.DataFrame":
    """Return the band of retrained models and which methods lie in it."""
    import pandas as pd

    names = {"low": "null_low", "high": "null_high"}
    columns = ["block", "method", "role", *NULLS]
    with_gold = methods[methods["gold"].notna()]
    if meaning.has_own_ideal or with_gold.empty:
        return pd.DataFrame(columns=columns)
    seeds = ["seed_split", "seed_train"]
    # by trainer as well: a method with one of its own has gold models of its own
    table = null_table(with_gold, by=["block", "trainer"], seeds=seeds, level=level)
    return table.rename(columns=names).assign(role="unlearned")[columns]


def _missing(results: Results, methods: "pd.DataFrame", metric: str) -> "pd.DataFrame":
    """Return why values of methods are missing: ``2 of 3 diverged: loss is not finite``."""
    import pandas as pd

    values = results.values
    chosen = values[(values["metric"] == metric) & (values["role"] == "unlearned")]
    why = methods[["run_id", *ROW]].merge(chosen, on=["run_id", "role"], how="left")
    rows: list[dict[str, Any]] = []
    for key, group in why[why["value"].isna()].groupby(list(ROW), observed=True):
        reasons = Counter(
            f"{status}: {reason}" if reason else str(status)
            for status, reason in zip(group["status"], group["reason"], strict=True)
        )
        counted = [f"{count} {text}" for text, count in reasons.most_common()]
        rows.append({**dict(zip(ROW, key, strict=True)), "missing": "; ".join(counted)})
    return pd.DataFrame(rows, columns=[*ROW, "missing"])
