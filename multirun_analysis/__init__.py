"""From tracked trials to results one can publish.

    from multirun_analysis import load, leaderboard, aggregate

    results = load("sqlite:///mlruns/mlflow.db")
    results.runs, results.values      # tidy tables
    aggregate(results)                # means and intervals over seeds
    leaderboard(results)              # the table, in a notebook as such

Reads MLflow and nothing else; what is heavy is imported by the first use of a name.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multirun_analysis.errors import AnalysisError
    from multirun_analysis.read.frame import MetricMeaning, Results
    from multirun_analysis.read.loading import load
    from multirun_analysis.report.build import attach_report, write_report
    from multirun_analysis.tables.aggregation import aggregate
    from multirun_analysis.tables.best_trial import best, command
    from multirun_analysis.tables.board import Board, to_markdown
    from multirun_analysis.tables.build import leaderboard
    from multirun_analysis.tables.comparison import side_by_side
    from multirun_analysis.tables.export import to_csv, to_latex, write_tables

__all__ = [
    "AnalysisError",
    "Board",
    "MetricMeaning",
    "Results",
    "aggregate",
    "attach_report",
    "best",
    "command",
    "leaderboard",
    "load",
    "side_by_side",
    "to_csv",
    "to_latex",
    "to_markdown",
    "write_report",
    "write_tables",
]

_MODULES = {
    "errors": ("AnalysisError",),
    "tables.aggregation": ("aggregate",),
    "tables.best_trial": ("best", "command"),
    "tables.board": ("Board", "to_markdown"),
    "tables.build": ("leaderboard",),
    "tables.comparison": ("side_by_side",),
    "tables.export": ("to_csv", "to_latex", "write_tables"),
    "read.frame": ("MetricMeaning", "Results"),
    "read.loading": ("load",),
    "report.build": ("attach_report", "write_report"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
