"""The leaderboard as a table of numbers: a row per setting, best first."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from multirun_analysis.read.frame import Results
from multirun_analysis.tables.aggregation import aggregate, main_metrics
from multirun_analysis.tables.build import ranking_metrics, row_costs
from multirun_analysis.tables.ranking import order_key

if TYPE_CHECKING:
    import pandas as pd

SETTING = ("block", "method")
STATISTICS = {"mean": "", "sd": " sd", "low": " low", "high": " high", "n_ok": " n"}
"""Column of :func:`aggregate`, and what follows the name of the metric in this table."""


def setting_table(
    results: Results,
    metrics: Sequence[str] | None = None,
    *,
    by: Mapping[str, str] | None = None,
    level: float = 0.95,
) -> "pd.DataFrame":
    """Return one row per setting: trials that differ by seeds alone.

    Args:
        results: What was loaded.
        metrics: Columns; by default those of :func:`main_metrics`, and what is ranked by.
        by: What to rank by, the most important first: metric to ``minimize``, ``maximize``, or
            an empty text for what its meaning says. By default the objective of the trials.
        level: Confidence of the intervals, in (0, 1).

    Returns:
        ``block`` and ``method``, which name the setting; ``reference``, whether it is a
        yardstick and no candidate for the best; ``n`` trials and how many ``finished``; by metric
        its mean, and after its name ``sd``, the ends ``low`` and ``high`` of the interval, and
        ``n`` values. Within a block methods come before yardsticks, best first.

    Raises:
        AnalysisError: If no run has a metric.
    """
    import pandas as pd

    chosen = main_metrics(results) if metrics is None else list(dict.fromkeys(metrics))
    ranked_by = ranking_metrics(results, chosen) if by is None else by
    names = list(dict.fromkeys([*chosen, *ranked_by]))
    table = aggregate(results, names, level=level)
    costs = row_costs(table, ranked_by)
    statistics = _statistics(table)
    rows = [
        {**row, **statistics.get((row["block"], row["method"]), {})} for row in _settings(results)
    ]
    blocks = {block: number for number, block in enumerate(dict.fromkeys(results.runs["block"]))}

    def sort_key(row: Mapping[str, Any]) -> tuple[Any, ...]:
        key = costs.get((row["block"], row["method"], "unlearned"), ())
        ranks = order_key(key, is_yardstick=row["reference"], name=row["method"])
        return blocks[row["block"]], ranks

    columns = [name + suffix for name in names for suffix in STATISTICS.values()]
    return pd.DataFrame(
        sorted(rows, key=sort_key), columns=[*SETTING, "reference", "n", "finished", *columns]
    )


def _settings(results: Results) -> list[dict[str, Any]]:
    """Return the settings with the number of their trials."""
    settings: list[dict[str, Any]] = []
    for (block, method), runs in results.runs.groupby(list(SETTING), sort=False):
        settings.append(
            {
                "block": block,
                "method": method,
                "reference": bool(runs["reference"].iloc[0]),
                "n": len(runs),
                "finished": int((runs["outcome"] == "finished").sum()),
            }
        )
    return settings


def _statistics(table: "pd.DataFrame") -> dict[tuple[str, str], dict[str, Any]]:
    """Return the statistics of all metrics by block and method."""
    statistics: dict[tuple[str, str], dict[str, Any]] = {}
    for row in table[table["role"] == "unlearned"].to_dict("records"):
        cells = statistics.setdefault((row["block"], row["method"]), {})
        cells |= {f"{row['metric']}{suffix}": row[name] for name, suffix in STATISTICS.items()}
    return statistics
