"""Statistics of a sweep: functions of plain tables with named columns.

A function that cannot answer says why in the ``reason`` of its result instead of raising, so
that one empty cell does not end a table. Every result counts what it used (``n_ok``) of what
there should be (``n``). ``ValueError`` is for calls that are wrong.
"""

from multirun_analysis.statistics.agreement import Agreement, agreement_table, metric_agreement
from multirun_analysis.statistics.intervals import (
    Interval,
    bootstrap_interval,
    interval_table,
    t_interval,
)
from multirun_analysis.statistics.nulls import NullBand, gold_differences, null_band, null_table
from multirun_analysis.statistics.paired import (
    Comparison,
    compare,
    compare_to_baseline,
    compare_to_gold,
    comparison_table,
)
from multirun_analysis.statistics.pareto import (
    Attainment,
    Front,
    Hypervolume,
    Objective,
    attainment,
    hypervolume,
    pareto_front,
)
from multirun_analysis.statistics.ranks import Ranking, critical_difference, rank_methods
from multirun_analysis.statistics.values import JudgedDirection, one_metric, to_cost
from multirun_analysis.statistics.variance import VarianceComponents, variance_components

__all__ = [
    "Agreement",
    "Attainment",
    "Comparison",
    "Front",
    "Hypervolume",
    "Interval",
    "JudgedDirection",
    "NullBand",
    "Objective",
    "Ranking",
    "VarianceComponents",
    "agreement_table",
    "attainment",
    "bootstrap_interval",
    "compare",
    "compare_to_baseline",
    "compare_to_gold",
    "comparison_table",
    "critical_difference",
    "gold_differences",
    "hypervolume",
    "interval_table",
    "metric_agreement",
    "null_band",
    "null_table",
    "one_metric",
    "pareto_front",
    "rank_methods",
    "t_interval",
    "to_cost",
    "variance_components",
]
