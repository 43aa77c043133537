"""The report: one web page, the tables and the figures of a sweep in a folder."""

import datetime as dt
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from multirun_analysis.errors import AnalysisError
from multirun_analysis.read.frame import Results
from multirun_analysis.report.page.agreement import agreement_section
from multirun_analysis.report.page.attacks import attacks_section
from multirun_analysis.report.page.costs import costs_section
from multirun_analysis.report.page.data import ReportData, report_data
from multirun_analysis.report.page.failures import failures_section
from multirun_analysis.report.page.leaderboard import leaderboard_section
from multirun_analysis.report.page.metrics import glossary_section, metrics_section
from multirun_analysis.report.page.nulls import nulls_section
from multirun_analysis.report.page.pairs import pairs_section
from multirun_analysis.report.page.ranks import ranks_section
from multirun_analysis.report.page.rendering import Page, write_page
from multirun_analysis.report.page.reproduce import reproduce_section
from multirun_analysis.report.page.summary import (
    subtitle_of,
    summary_section,
    title_of,
    what_was_run,
)
from multirun_analysis.report.page.trade_offs import trade_offs_section
from multirun_analysis.report.page.trials import trials_section
from multirun_analysis.tables.export import write_tables

SECTIONS = (
    summary_section,
    what_was_run,
    leaderboard_section,
    trade_offs_section,
    metrics_section,
    attacks_section,
    costs_section,
    ranks_section,
    pairs_section,
    agreement_section,
    nulls_section,
    trials_section,
    failures_section,
    reproduce_section,
    glossary_section,
)
ARTIFACT_PATH = "report"
"""Folder of the report among the artifacts of a sweep."""


def write_report(
    results: Results,
    folder: Path,
    *,
    level: float = 0.95,
    baseline: str = "",
) -> Path:
    """Write ``index.html``, ``tables/`` and ``figures/`` and return the path of the page.

    The page is one file that needs no other and no network. ``tables/`` has the leaderboard as
    Markdown, LaTeX and CSV, ``figures/`` every figure of the page as SVG and PNG.

    Args:
        results: What was loaded.
        folder: Where to; made if need be, and files of the same names are replaced.
        level: Confidence of the intervals, in (0, 1).
        baseline: Method that the others are compared with, seed by seed; empty for the first of
            each block.

    Raises:
        AnalysisError: If the baseline is no method, or the folder cannot be written.
    """
    data = report_data(results, level=level, baseline=baseline)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_tables(results, data.board, folder / "tables")
        return write_page(_page(data), folder)
    except OSError as error:
        raise AnalysisError(f"output {folder} cannot be written: {error}") from error


def attach_report(results: Results, folder: Path) -> str:
    """Attach a written report to its sweep, so that MLflow shows it, and return the run's name.

    A report of several sweeps is attached to the newest; one of single trials to none, and the
    name is empty.

    Raises:
        AnalysisError: If the database or server refuses.
    """
    if not results.sweeps:
        return ""
    from multirun_analysis.read.server import attach

    sweep = max(results.sweeps, key=lambda run: run.started)
    attach(results.uri, sweep.run_id, folder, ARTIFACT_PATH)
    return sweep.name


def _page(data: ReportData) -> Page:
    return Page(
        title=title_of(data),
        subtitle=subtitle_of(data),
        notes=data.board.notes,
        blocks=data.board.blocks,
        sections=[section(data) for section in SECTIONS],
        made=_made(),
    )


def _made() -> str:
    try:
        release = version("erasure-unlearning")
    except PackageNotFoundError:  # run from a source tree that was not installed
        release = "(not installed)"
    now = dt.datetime.now(tz=dt.UTC)
    return f"Made on {now:%Y-%m-%d %H:%M} UTC by multirun_analysis, erasure {release}."
