"""Average ranks over blocks, and the critical-difference diagram."""

import math
from collections.abc import Sequence

from erasure.schema import format_number
from multirun_analysis.report.page.data import ReportData
from multirun_analysis.report.page.parts import (
    Cell,
    Gallery,
    Part,
    Section,
    Table,
    TableColumn,
    TableRow,
    Text,
)
from multirun_analysis.report.page.rendering import slug
from multirun_analysis.report.pictures import Picture
from multirun_analysis.report.pictures.critical import critical_picture
from multirun_analysis.statistics import Ranking, critical_difference, rank_methods
from multirun_analysis.statistics.ranks import ENOUGH_BLOCKS

LEAD = (
    "Within each block (data set, model and forget set) methods are ranked by how near they are "
    "to what is best, seeds averaged first, since seeds are no independent data sets. 1 is "
    "best. Yardsticks are not ranked."
)

NONE = Cell(text="–", look="none", sort=math.nan)


def ranks_section(data: ReportData) -> Section:
    """Return ranks by metric, ranks by block, and the diagrams there is enough evidence for."""
    rankings = {name: ranking(data, name) for name in _ranked_metrics(data)}
    ranked = {name: ranking for name, ranking in rankings.items() if len(ranking.ranks)}
    if not ranked:
        reason = next((ranking.reason for ranking in rankings.values()), "no metric is judged")
        parts: list[Part] = [Text(text=f"Nothing can be ranked: {reason}.", tone="quiet")]
        return _section(parts)
    parts = [_by_metric(data, ranked)]
    first = data.board.ranked_by
    if first in ranked and len(ranked[first].ranks) > 1:
        parts.append(_by_block(first, ranked[first]))
    drawn = {
        n: ranking
        for n, ranking in ranked.items()
        if not ranking.reason and not ranking.few_blocks
    }
    if drawn:
        pictures = [_diagram(data, name, ranking) for name, ranking in drawn.items()]
        parts.append(Gallery(pictures=pictures))
    parts += _remarks(ranked, drawn)
    return _section(parts)


def _section(parts: Sequence[Part]) -> Section:
    return Section(key="ranks", title="Ranks over blocks", short="Ranks", lead=LEAD, parts=parts)


def _ranked_metrics(data: ReportData) -> list[str]:
    names = dict.fromkeys([data.board.ranked_by, *data.board.metrics])
    return [name for name in names if name in data.judged]


def ranking(data: ReportData, metric: str) -> Ranking:
    """Return the ranks of the methods in a judged metric; yardsticks are not ranked."""
    runs = data.results.runs
    meaning = data.schema[metric]
    direction = meaning.direction
    if direction == "info":
        raise ValueError(f"metric must be judged to be ranked, got {metric!r}")
    unranked = set(runs.loc[runs["reference"], "method"])
    return rank_methods(
        data.wide(metric), direction=direction, ideal=meaning.ideal, unranked=unranked
    )


def _by_metric(data: ReportData, rankings: dict[str, Ranking]) -> Table:
    methods = dict.fromkeys(
        str(m) for ranking in rankings.values() for m in ranking.average_ranks.index
    )
    columns = [TableColumn(title="method", number=False)]
    columns += [
        TableColumn(title=name, note=f"{len(ranking.ranks)} blocks")
        for name, ranking in rankings.items()
    ]
    rows = []
    for method in methods:
        cells = [Cell(text=method, color=data.looks[method].color)]
        for ranking in rankings.values():
            is_ranked = method in ranking.average_ranks.index
            cells.append(
                _rank(float(ranking.average_ranks[method]), ranking) if is_ranked else NONE
            )
        rows.append(TableRow(cells=cells))
    title = "Average rank by metric"
    return Table(columns=columns, rows=rows, title=title, compact=True)


def _by_block(metric: str, ranking: Ranking) -> Table:
    methods = [str(method) for method in ranking.average_ranks.index]
    columns = [
        TableColumn(title="block", number=False),
        *(TableColumn(title=name) for name in methods),
    ]
    average = [_rank(float(rank), ranking) for rank in ranking.average_ranks]
    rows = [TableRow(cells=[Cell(text="average"), *average], aside=True)]
    for block in ranking.ranks.index:
        ranks = [_rank(float(ranking.ranks.loc[block, name]), ranking) for name in methods]
        rows.append(TableRow(cells=[Cell(text=str(block)), *ranks]))
    rows.append(rows.pop(0))  # the average stands below the blocks
    title = f"Rank by block in {metric}"
    return Table(columns=columns, rows=rows, title=title, compact=True)


def _rank(rank: float, ranking: Ranking) -> Cell:
    worst = max(len(ranking.average_ranks) - 1, 1)
    # the first rank has the shade 1 and the last one -1
    return Cell(text=f"{rank:.3g}", sort=rank, shade=1 - 2 * (rank - 1) / worst)


def _diagram(data: ReportData, metric: str, ranking: Ranking) -> Picture:
    ranks = {str(method): float(rank) for method, rank in ranking.average_ranks.items()}
    tests = (
        f"{len(ranking.ranks)} blocks. Friedman: χ² = {ranking.statistic:.1f}, "
        f"p = {format_number(ranking.p)}. Methods joined by a bar cannot be told apart (Nemenyi"
    )
    caption = (
        f"{tests}, α = {ranking.alpha:g}; critical difference {ranking.critical_difference:.2f})."
    )
    if not ranking.rejects:
        caption += " The Friedman test does not reject: no method differs from another."
    return critical_picture(
        slug("critical-difference", metric),
        f"Critical differences in {metric}",
        caption,
        ranks,
        ranking.cliques,
        ranking.critical_difference,
        data.looks,
    )


def _remarks(ranked: dict[str, Ranking], drawn: dict[str, Ranking]) -> list[Part]:
    """Return why there is no diagram, and what was left out of the ranks."""
    parts: list[Part] = []
    if not drawn:
        ranking = next(iter(ranked.values()))
        blocks, methods = ranking.ranks.shape
        message = (
            f"No critical-difference diagram: it takes at least 3 methods and {ENOUGH_BLOCKS} "
            f"blocks to say anything, and here are {methods} and {blocks}."
        )
        if methods > 2 and blocks > 1:
            gap = critical_difference(methods, blocks)
            message += (
                f" With these, average ranks would have to differ by {gap:.2f} of {methods - 1}."
            )
        parts.append(Text(text=message, tone="quiet"))
    for name, ranking in ranked.items():
        for block, lacking in ranking.dropped.items():
            message = f"{name}: {block} is left out, it lacks {', '.join(lacking)}."
            parts.append(Text(text=message, tone="quiet"))
    return parts
