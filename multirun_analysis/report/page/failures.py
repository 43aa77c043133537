"""What did not finish, and what is missing."""

from multirun_analysis.report.page.data import ReportData
from multirun_analysis.report.page.parts import (
    Cell,
    Part,
    Section,
    Table,
    TableColumn,
    TableRow,
    Text,
)
from multirun_analysis.tables.best_trial import command_of

MOST_LISTED = 200
LEAD = (
    "Nothing is left out silently: a mean over fewer runs than there should be says so, and "
    "this is why."
)


def failures_section(data: ReportData) -> Section:
    """Return the trials that did not finish and the values that are missing, with reasons."""
    parts: list[Part] = [_trials(data), _values(data)]
    return Section(
        key="failures",
        title="Failures and missing values",
        short="Failures",
        lead=LEAD,
        parts=parts,
    )


def _trials(data: ReportData) -> Part:
    runs = data.results.runs
    failed = runs[runs["outcome"] != "finished"]
    if failed.empty:
        return Text(text=f"All {len(runs)} trials finished.")
    rows = [
        TableRow(
            cells=[
                Cell(
                    text=run["name"],
                    color=data.looks[run["method"]].color,
                    copies=command_of(data.results, run),
                ),
                Cell(text=run["outcome"]),
                Cell(text=run["reason"] or "no reason was written down"),
            ]
        )
        for run in failed.head(MOST_LISTED).to_dict("records")
    ]
    more = len(failed) - len(rows)
    return Table(
        columns=[
            TableColumn(title=name, number=False, wide=name == "reason")
            for name in ("trial", "outcome", "reason")
        ],
        rows=rows,
        title=f"{len(failed)} of {len(runs)} trials did not finish",
        note=f"{more} more are in the database." if more else "",
    )


def _values(data: ReportData) -> Part:
    """Return what finished trials have no value of, counted by reason."""
    values, runs = data.results.values, data.results.runs
    finished = runs.loc[runs["outcome"] == "finished", ["run_id", "method", "block"]]
    lacking = values[(values["status"] != "ok") & (values["role"] == "unlearned")]
    unmeasured = lacking.merge(finished, on="run_id")
    unmeasured = unmeasured[unmeasured["metric"].isin(data.metrics)]
    if unmeasured.empty:
        return Text(text="No finished trial lacks a value.")
    keys = ["metric", "status", "reason"]
    rows = []
    for (metric, status, reason), group in unmeasured.groupby(keys, sort=False):
        methods = ", ".join(dict.fromkeys(group["method"]))
        cells = [
            Cell(text=str(metric)),
            Cell(text=f"{status}: {reason}" if reason else str(status)),
            Cell(text=str(len(group)), sort=len(group)),
            Cell(text=methods),
        ]
        rows.append(TableRow(cells=cells))
    columns = [
        TableColumn(title="metric", number=False),
        TableColumn(title="why", number=False, wide=True),
        TableColumn(title="trials"),
        TableColumn(title="methods", number=False),
    ]
    return Table(columns=columns, rows=rows, title="Values that finished trials lack")
