"""Statistics of a sweep: functions of plain tables with named columns.

A function that cannot answer says why in the ``reason`` of its result instead of raising, so
that one empty cell does not end a table. Every result counts what it used (``n_ok``) of what
there should be (``n``). ``ValueError`` is for calls that are wrong.
"""

from multirun_analysis.statistics.agreement import (
    MetricAgreement,
    agreement_table,
    metric_agreement,
)
from multirun_analysis.statistics.comparison import PairedComparison, compare
from multirun_analysis.statistics.intervals import (
    Interval,
    interval_table,
    t_interval,
)
from multirun_analysis.statistics.nulls import GoldBand, null_band, null_table
from multirun_analysis.statistics.paired import compare_to_baseline, compare_to_gold
from multirun_analysis.statistics.pareto import (
    Front,
    FrontObjective,
    Hypervolume,
    hypervolume,
    pareto_front,
)
from multirun_analysis.statistics.ranks import Ranking, critical_difference, rank_methods
from multirun_analysis.statistics.values import JudgedDirection, one_metric, to_cost

__all__ = [
    "Front",
    "FrontObjective",
    "GoldBand",
    "Hypervolume",
    "Interval",
    "JudgedDirection",
    "MetricAgreement",
    "PairedComparison",
    "Ranking",
    "agreement_table",
    "compare",
    "compare_to_baseline",
    "compare_to_gold",
    "critical_difference",
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
]
