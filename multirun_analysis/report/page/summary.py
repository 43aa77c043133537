"""What was run, and what came of it in a few sentences."""

import datetime as dt
import math
from collections.abc import Sequence

from erasure.schema import format_number
from multirun_analysis.report.page.data import ReportData
from multirun_analysis.report.page.parts import Fold, Items, Part, Section
from multirun_analysis.report.page.ranks import ranking
from multirun_analysis.tables.cells import Line

MOST_NAMED = 6


def summary_section(data: ReportData) -> Section:
    """Return the findings that the tables below prove."""
    blocks = data.board.blocks
    parts: list[Part] = [Items(items=[("", sentence) for sentence in _overall(data)])]
    for block in blocks:
        leader, *rest = _findings(data, block)
        if len(blocks) == 1:
            parts.append(Items(items=[("", sentence) for sentence in (leader, *rest)]))
        else:
            inside = Items(items=[("", sentence) for sentence in rest])
            parts.append(Fold(title=block, detail=leader, parts=[inside], block=block))
    shown = [part for part in parts if not isinstance(part, Items) or part.items]
    return Section(key="summary", title="In short", parts=shown)


def what_was_run(data: ReportData) -> Section:
    """Return methods, blocks, seeds and the rest of the provenance."""
    runs = data.results.runs
    named = {
        "methods": _names(data),
        "data sets, models, splits": _listed(data.board.blocks, "; "),
        **data.board.provenance,
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


def title_of(data: ReportData) -> str:
    """Return the title of the report."""
    sweeps = data.results.sweeps
    if len(sweeps) == 1:
        return sweeps[0].name
    names = list(dict.fromkeys(data.results.runs["experiment"]))
    return f"{len(data.results.runs)} trials of {', '.join(names)}"


def subtitle_of(data: ReportData) -> str:
    """Return what the report is about, in one line."""
    runs = data.results.runs
    counts = [
        (len(runs), "trial"),
        (len({line.method for line in data.board.lines if not line.model}), "method"),
        (len(data.board.blocks), "block"),
        (int(runs["seed_train"].nunique()), "training seed"),
    ]
    return " · ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts)


def _overall(data: ReportData) -> list[str]:
    """Return what holds for all blocks together."""
    runs, metric = data.results.runs, data.board.ranked_by
    sentences = []
    if len(data.board.blocks) > 1 and metric in data.judged:
        ranks_found = ranking(data, metric)
        ranks = [f"{method} {rank:.2f}" for method, rank in ranks_found.average_ranks.items()]
        if len(ranks_found.ranks):
            where = f"over {len(ranks_found.ranks)} blocks with all methods"
            sentences.append(f"Average rank by {metric} {where}: {_listed(ranks)}.")
    failed = int((runs["outcome"] != "finished").sum())
    if failed:
        sentences.append(f"{failed} of {len(runs)} trials did not finish; Failures says why.")
    return sentences


def _findings(data: ReportData, block: str) -> list[str]:
    """Return sentences about a block, who leads first."""
    candidates = [line for line in data.methods(block) if not line.reference]
    sentences = [_leader(data, block, candidates), _front(data, block)]
    sentences += _alike(data, block, candidates)
    if data.board.silent.get(block):
        silent = ", ".join(data.board.silent[block])
        sentences.append(f"Cannot tell the original from the retrained model here: {silent}.")
    sentences.append(_seeds(data, block))
    return [sentence for sentence in sentences if sentence]


def _leader(data: ReportData, block: str, lines: list[Line]) -> str:
    board = data.board
    if not board.ranked_by:
        return "No metric that is judged was measured, so nothing is ranked."
    scored = [
        line for line in lines if data.record(block, board.ranked_by, line.method).get("n_ok", 0)
    ]
    if not scored:
        return f"No method has a value of {board.ranked_by}."
    first = scored[0]
    record = data.record(block, board.ranked_by, first.method)
    sentence = f"Best by {board.ranked_by}: {first.method}, {format_number(record['mean'])}"
    if math.isnan(record["low"]):
        return f"{sentence}; without an interval, {record['interval']}."
    half = format_number((record["high"] - record["low"]) / 2)
    rest = [data.record(block, board.ranked_by, line.method) for line in scored[1:]]
    # rows are ranked by means where there is an objective, and by costs where there is none
    by_mean = board.ranked_by in data.results.objective
    low, high = ("low", "high") if by_mean else ("cost_low", "cost_high")
    # a method without an interval has NaN ends, and nothing excludes it
    near = [
        row["method"] for row in rest if not (row[low] > record[high] or row[high] < record[low])
    ]
    if not rest:
        return f"{sentence} ± {half}; it is the only method."
    if not near:
        return f"{sentence} ± {half}; its interval excludes those of all other methods."
    return f"{sentence} ± {half}; its interval overlaps with {_listed(near)}."


def _front(data: ReportData, block: str) -> str:
    trade_offs = data.trade_offs
    if "forgetting" not in trade_offs.meanings or len(trade_offs.meanings) < 2:
        return ""
    rows = trade_offs.table[(trade_offs.table["block"] == block) & trade_offs.table["front"]]
    if rows.empty:
        return ""
    what = " and ".join([", ".join([*trade_offs.meanings][:-1]), [*trade_offs.meanings][-1]])
    return f"Beaten by no other method in all of {what}: {_listed(list(rows['method']))}."


def _alike(data: ReportData, block: str, lines: list[Line]) -> list[str]:
    """Return which methods are where retrained models are, in every metric that can tell."""
    silent = data.board.silent.get(block, ())
    rows = {
        name: [data.record(block, name, line.method) for line in lines]
        for name in data.board.metrics
        if name not in silent
    }
    banded = {
        name: {record["method"] for record in records if record["indistinguishable"]}
        for name, records in rows.items()
        if any(record and not math.isnan(record["null_low"]) for record in records)
    }
    if not banded:
        return []
    inside = [line.method for line in lines if all(line.method in m for m in banded.values())]
    what = ", ".join(banded)
    if inside:
        return [f"Where retrained models are, too, in {what}: {_listed(inside)}."]
    return [f"No method is where retrained models are in all of {what}."]


def _seeds(data: ReportData, block: str) -> str:
    runs = data.results.runs
    seeds = int(runs.loc[runs["block"] == block, "seed_train"].nunique())
    if seeds < 2:
        return "One training seed only: no intervals and no tests; differences may be chance."
    # 2 / 2**6 is the first below 0.05
    if seeds < 6:
        smallest = 2 / 2**seeds
        return (
            f"{seeds} training seeds: no signed-rank test can give a p below "
            f"{format_number(smallest)}, so none can be significant at 0.05."
        )
    return ""


def _names(data: ReportData) -> str:
    names = dict.fromkeys(line.method for line in data.board.lines if not line.model)
    return _listed(list(names), most=12)


def _listed(names: Sequence[str], between: str = ", ", most: int = MOST_NAMED) -> str:
    more = f"{between}and {len(names) - most} more" if len(names) > most else ""
    return between.join(names[:most]) + more


def _when(seconds: float) -> str:
    if math.isnan(seconds):
        return ""
    return f"{dt.datetime.fromtimestamp(seconds, tz=dt.UTC):%Y-%m-%d %H:%M} UTC"
