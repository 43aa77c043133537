"""What did not finish, and what is missing."""

from multirun_analysis.leaderboard.best_trial import command_of
from multirun_analysis.report.page.parts import Cell, Column, Part, Row, Section, Table, Text
from multirun_analysis.report.page.study import Study

MOST_LISTED = 200
LEAD = (
    "Nothing is left out silently: a mean over fewer runs than there should be says so, and "
    "this is why."
)


def failures_section(study: Study) -> Section:
    """Return the trials that did not finish and the values that are missing, with reasons."""
    parts: list[Part] = [_trials(study), _values(study)]
    return Section(
        key="failures",
        title="Failures and missing values",
        short="Failures",
        lead=LEAD,
        parts=parts,
    )


def _trials(study: Study) -> Part:
    runs = study.results.runs
    failed = runs[runs["outcome"] != "finished"]
    if failed.empty:
        return Text(text=f"All {len(runs)} trials finished.")
    rows = [
        Row(
            cells=[
                Cell(
                    text=run["name"],
                    color=study.looks[run["method"]].color,
                    copies=command_of(study.results, run),
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
            Column(title=name, number=False, wide=name == "reason")
            for name in ("trial", "outcome", "reason")
        ],
        rows=rows,
        title=f"{len(failed)} of {len(runs)} trials did not finish",
        note=f"{more} more are in the database." if more else "",
    )


def _values(study: Study) -> Part:
    """Return what finished trials have no value of, counted by reason."""
    values, runs = study.results.values, study.results.runs
    finished = runs.loc[runs["outcome"] == "finished", ["run_id", "method", "block"]]
    lacking = values[(values["status"] != "ok") & (values["role"] == "unlearned")]
    found = lacking.merge(finished, on="run_id")
    found = found[found["metric"].isin(study.metrics)]
    if found.empty:
        return Text(text="No finished trial lacks a value.")
    keys = ["metric", "status", "reason"]
    rows = []
    for (metric, status, reason), group in found.groupby(keys, sort=False):
        methods = ", ".join(dict.fromkeys(group["method"]))
        cells = [
            Cell(text=str(metric)),
            Cell(text=f"{status}: {reason}" if reason else str(status)),
            Cell(text=str(len(group)), sort=len(group)),
            Cell(text=methods),
        ]
        rows.append(Row(cells=cells))
    columns = [
        Column(title="metric", number=False),
        Column(title="why", number=False, wide=True),
        Column(title="trials"),
        Column(title="methods", number=False),
    ]
    return Table(columns=columns, rows=rows, title="Values that finished trials lack")
