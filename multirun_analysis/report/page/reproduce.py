"""How to get the same numbers again."""

import shlex

from erasure.schema import console_words, without_password
from multirun_analysis.errors import AnalysisError
from multirun_analysis.report.page.data import ReportData
from multirun_analysis.report.page.parts import Code, Items, Part, Section
from multirun_analysis.tables.best_trial import best

MOST_SWEEPS = 10
LEAD = (
    "The same commit, configuration and seeds give the same numbers on the same kind of "
    "machine. Finished trials are read back, so repeating a sweep costs only what is missing. "
    "Every single trial has its command under Trials."
)


def reproduce_section(data: ReportData) -> Section:
    """Return commands, commits, seeds and hardware."""
    results = data.results
    runs = results.runs
    commits = [commit for commit in dict.fromkeys(runs["commit"]) if commit]
    parts: list[Part] = []
    if commits:
        parts.append(Code(title="the source", text=f"git checkout {commits[0]}"))
    shown = results.sweeps[:MOST_SWEEPS]
    parts += [Code(title=sweep.name, text=sweep.command) for sweep in shown if sweep.command]
    if len(results.sweeps) > MOST_SWEEPS:
        more = len(results.sweeps) - MOST_SWEEPS
        parts.append(Items(items=[("", f"{more} earlier sweeps are not shown.")]))
    parts += _best(data)
    parts.append(Code(title="this report", text=_report(data)))
    dirty = int(runs["dirty"].sum())
    provenance = {
        "commit": ", ".join(commits) or "unknown: the source was not a git checkout",
        "not committed": f"{dirty} of {len(runs)} runs had changed files" if dirty else "",
        "hardware": "; ".join(name for name in dict.fromkeys(runs["hardware"]) if name),
        **{
            f"{kind} seeds": _seeds(data, kind)
            for kind in ("split", "train", "unlearn", "evaluate")
        },
    }
    parts.append(Items(items=[(name, text) for name, text in provenance.items() if text]))
    return Section(
        key="reproduce", title="How to reproduce", short="Reproduce", lead=LEAD, parts=parts
    )


def _best(data: ReportData) -> list[Part]:
    metric = data.board.ranked_by
    if not metric:
        return []
    try:
        best_trials = best(data.results, metric)
    except AnalysisError:  # no method has a value; the summary says so
        return []
    return [
        Code(
            title=f"the trial with the best {metric}: {trial.name}",
            text=trial.command,
            block=trial.block,
        )
        for trial in best_trials
    ]


def _report(data: ReportData) -> str:
    results = data.results
    program = console_words()
    words = [*program, "report"] if program else ["python", "-m", "multirun_analysis", "report"]
    words += ["--output", "report"]
    words += ["--tracking-uri", without_password(results.uri)]
    for sweep in results.sweeps[:MOST_SWEEPS]:
        words += ["--parent", sweep.run_id]
    if not results.sweeps:
        for name in dict.fromkeys(results.runs["experiment"]):
            words += ["--experiment", name]
    return shlex.join(words)


def _seeds(data: ReportData, kind: str) -> str:
    seeds = sorted(data.results.runs[f"seed_{kind}"].dropna().unique().tolist())
    shown = ", ".join(str(seed) for seed in seeds[:20])
    return f"{shown}, and {len(seeds) - 20} more" if len(seeds) > 20 else shown
