"""What was run, and what came of it in a few sentences."""

import datetime as dt
import math
from collections.abc import Sequence

from erasure.schema import format_number
from multirun_analysis.leaderboard.board import Line
from multirun_analysis.report.page.parts import Fold, Items, Part, Section
from multirun_analysis.report.page.ranks import ranking
from multirun_analysis.report.page.study import Study

MOST_NAMED = 6


def summary_section(study: Study) -> Section:
    """Return the findings that the tables below prove."""
    blocks = study.board.blocks
    parts: list[Part] = [Items(items=[("", one) for one in _overall(study)])]
    for block in blocks:
        leader, *others = _findings(study, block)
        if len(blocks) == 1:
            parts.append(Items(items=[("", one) for one in (leader, *others)]))
        else:
            inside = Items(items=[("", one) for one in others])
            parts.append(Fold(title=block, detail=leader, parts=[inside], block=block))
    shown = [part for part in parts if not isinstance(part, Items) or part.items]
    return Section(key="summary", title="In short", parts=shown)


def what_was_run(study: Study) -> Section:
    """Return the facts of the sweep."""
    runs = study.results.runs
    named = {
        "methods": _names(study),
        "data sets, models, splits": _listed(study.board.blocks, "; "),
        **study.board.facts,
        "started": _when(float(runs.loc[runs["started"] > 0, "started"].min())),
    }
    items = [(name, text) for name, text in named.items() if text]
    return Section(
        key="run",
        title="What was run",
        short="Runs",
        lead="Every trial trains or fetches an original model, makes it forget, and is compared "
        "with a model retrained without the forget set (gold) of the same seed.",
        parts=[Items(items=items)],
    )


def title_of(study: Study) -> str:
    """Return the title of the report."""
    sweeps = study.results.sweeps
    if len(sweeps) == 1:
        return sweeps[0].name
    names = list(dict.fromkeys(study.results.runs["experiment"]))
    return f"{len(study.results.runs)} trials of {', '.join(names)}"


def subtitle_of(study: Study) -> str:
    """Return what the report is about, in one line."""
    runs = study.results.runs
    counts = [
        (len(runs), "trial"),
        (len({line.method for line in study.board.lines if not line.model}), "method"),
        (len(study.board.blocks), "block"),
        (int(runs["seed_train"].nunique()), "training seed"),
    ]
    return " · ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts)


def _overall(study: Study) -> list[str]:
    """Return what holds for all blocks together."""
    runs, metric = study.results.runs, study.board.ranked_by
    told = []
    if len(study.board.blocks) > 1 and metric:
        found = ranking(study, metric)
        ranks = [f"{method} {rank:.2f}" for method, rank in found.average_ranks.items()]
        if len(found.ranks):
            where = f"over {len(found.ranks)} blocks with all methods"
            told.append(f"Average rank by {metric} {where}: {_listed(ranks)}.")
    failed = int((runs["outcome"] != "finished").sum())
    if failed:
        told.append(f"{failed} of {len(runs)} trials did not finish; Failures says why.")
    return told


def _findings(study: Study, block: str) -> list[str]:
    """Return sentences about a block, who leads first."""
    candidates = [line for line in study.methods(block) if not line.reference]
    told = [_leader(study, block, candidates), _front(study, block)]
    told += _alike(study, block, candidates)
    if study.board.silent.get(block):
        silent = ", ".join(study.board.silent[block])
        told.append(f"Cannot tell the original from the retrained model here: {silent}.")
    told.append(_seeds(study, block))
    return [sentence for sentence in told if sentence]


def _leader(study: Study, block: str, lines: list[Line]) -> str:
    board = study.board
    if not board.ranked_by:
        return "No metric that is judged was measured, so nothing is ranked."
    scored = [
        line for line in lines if study.record(block, board.ranked_by, line.method).get("n_ok", 0)
    ]
    if not scored:
        return f"No method has a value of {board.ranked_by}."
    first = scored[0]
    record = study.record(block, board.ranked_by, first.method)
    told = f"Best by {board.ranked_by}: {first.method}, {format_number(record['mean'])}"
    if math.isnan(record["low"]):
        return f"{told}; without an interval, {record['interval']}."
    half = format_number((record["high"] - record["low"]) / 2)
    rest = [study.record(block, board.ranked_by, line.method) for line in scored[1:]]
    near = [row["method"] for row in rest if not row["cost_low"] > record["cost_high"]]
    if not rest:
        return f"{told} ± {half}; it is the only method."
    if not near:
        return f"{told} ± {half}; its interval excludes those of all other methods."
    return f"{told} ± {half}; its interval overlaps with {_listed(near)}."


def _front(study: Study, block: str) -> str:
    found = study.trade_offs
    if "forgetting" not in found.meanings or len(found.meanings) < 2:
        return ""
    rows = found.table[(found.table["block"] == block) & found.table["front"]]
    if rows.empty:
        return ""
    what = " and ".join([", ".join([*found.meanings][:-1]), [*found.meanings][-1]])
    return f"Beaten by no other method in all of {what}: {_listed(list(rows['method']))}."


def _alike(study: Study, block: str, lines: list[Line]) -> list[str]:
    """Return which methods are where retrained models are, in every metric that can tell."""
    silent = study.board.silent.get(block, ())
    rows = {
        name: [study.record(block, name, line.method) for line in lines]
        for name in study.board.metrics
        if name not in silent
    }
    banded = {
        name: {record["method"] for record in found if record["indistinguishable"]}
        for name, found in rows.items()
        if any(record and not math.isnan(record["null_low"]) for record in found)
    }
    if not banded:
        return []
    inside = [line.method for line in lines if all(line.method in m for m in banded.values())]
    what = ", ".join(banded)
    if inside:
        return [f"Where retrained models are, too, in {what}: {_listed(inside)}."]
    return [f"No method is where retrained models are in all of {what}."]


def _seeds(study: Study, block: str) -> str:
    runs = study.results.runs
    seeds = int(runs.loc[runs["block"] == block, "seed_train"].nunique())
    if seeds < 2:
        return "One training seed only: no intervals and no tests; differences may be chance."
    if seeds < 6:
        smallest = 2 / 2**seeds
        return (
            f"{seeds} training seeds: no signed-rank test can give a p below "
            f"{format_number(smallest)}, so none can be significant at 0.05."
        )
    return ""


def _names(study: Study) -> str:
    names = dict.fromkeys(line.method for line in study.board.lines if not line.model)
    return _listed(list(names), most=12)


def _listed(names: Sequence[str], between: str = ", ", most: int = MOST_NAMED) -> str:
    more = f"{between}and {len(names) - most} more" if len(names) > most else ""
    return between.join(names[:most]) + more


def _when(seconds: float) -> str:
    if math.isnan(seconds):
        return ""
    return f"{dt.datetime.fromtimestamp(seconds, tz=dt.UTC):%Y-%m-%d %H:%M} UTC"
