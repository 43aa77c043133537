"""How to get the same numbers again."""

import shlex

from erasure.schema import without_password
from multirun_analysis.errors import AnalysisError
from multirun_analysis.leaderboard.best_trial import best
from multirun_analysis.report.page.parts import Code, Items, Part, Section
from multirun_analysis.report.page.study import Study

MOST_SWEEPS = 10
LEAD = (
    "The same commit, configuration and seeds give the same numbers on the same kind of "
    "machine. Finished trials are read back, so repeating a sweep costs only what is missing. "
    "Every single trial has its command under Trials."
)


def reproduce_section(study: Study) -> Section:
    """Return commands, commits, seeds and hardware."""
    results = study.results
    runs = results.runs
    commits = [commit for commit in dict.fromkeys(runs["commit"]) if commit]
    parts: list[Part] = []
    if commits:
        parts.append(Code(title="the source", text=f"git checkout {commits[0]}"))
    shown = results.sweeps[:MOST_SWEEPS]
    parts += [Code(title=one.name, text=one.command) for one in shown if one.command]
    if len(results.sweeps) > MOST_SWEEPS:
        more = len(results.sweeps) - MOST_SWEEPS
        parts.append(Items(items=[("", f"{more} earlier sweeps are not shown.")]))
    parts += _best(study)
    parts.append(Code(title="this report", text=_report(study)))
    dirty = int(runs["dirty"].sum())
    facts = {
        "commit": ", ".join(commits) or "unknown: the source was not a git checkout",
        "not committed": f"{dirty} of {len(runs)} runs had changed files" if dirty else "",
        "hardware": "; ".join(name for name in dict.fromkeys(runs["hardware"]) if name),
        **{
            f"{kind} seeds": _seeds(study, kind)
            for kind in ("split", "train", "unlearn", "evaluate")
        },
    }
    parts.append(Items(items=[(name, text) for name, text in facts.items() if text]))
    return Section(
        key="reproduce", title="How to reproduce", short="Reproduce", lead=LEAD, parts=parts
    )


def _best(study: Study) -> list[Part]:
    metric = study.board.ranked_by
    if not metric:
        return []
    try:
        found = best(study.results, metric)
    except AnalysisError:  # no method has a value; the summary says so
        return []
    return [
        Code(
            title=f"the trial with the best {metric}: {one.name}",
            text=one.command,
            block=one.block,
        )
        for one in found
    ]


def _report(study: Study) -> str:
    results = study.results
    words = ["python", "-m", "multirun_analysis", "report", "--output", "report"]
    words += ["--tracking-uri", without_password(results.uri)]
    for sweep in results.sweeps[:MOST_SWEEPS]:
        words += ["--parent", sweep.run_id]
    if not results.sweeps:
        for name in dict.fromkeys(results.runs["experiment"]):
            words += ["--experiment", name]
    return shlex.join(words)


def _seeds(study: Study, kind: str) -> str:
    seeds = sorted(study.results.runs[f"seed_{kind}"].dropna().unique().tolist())
    shown = ", ".join(str(seed) for seed in seeds[:20])
    return f"{shown}, and {len(seeds) - 20} more" if len(seeds) > 20 else shown
