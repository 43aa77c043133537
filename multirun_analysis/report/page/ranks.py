"""Average ranks over blocks, and the critical-difference diagram."""

import math
from collections.abc import Sequence

from erasure.schema import format_number
from multirun_analysis.report.page.parts import (
    Cell,
    Column,
    Gallery,
    Part,
    Row,
    Section,
    Table,
    Text,
)
from multirun_analysis.report.page.rendering import slug
from multirun_analysis.report.page.study import Study
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


def ranks_section(study: Study) -> Section:
    """Return ranks by metric, ranks by block, and the diagrams there is enough evidence for."""
    rankings = {name: ranking(study, name) for name in _ranked_metrics(study)}
    known = {name: found for name, found in rankings.items() if len(found.ranks)}
    if not known:
        told = next((found.reason for found in rankings.values()), "no metric is judged")
        parts: list[Part] = [Text(text=f"Nothing can be ranked: {told}.", tone="quiet")]
        return _section(parts)
    parts = [_by_metric(study, known)]
    first = study.board.ranked_by
    if first in known and len(known[first].ranks) > 1:
        parts.append(_by_block(first, known[first]))
    enough = {n: found for n, found in known.items() if not found.reason and not found.few_blocks}
    if enough:
        pictures = [_diagram(study, name, found) for name, found in enough.items()]
        parts.append(Gallery(pictures=pictures))
    parts += _told(known, enough)
    return _section(parts)


def _section(parts: Sequence[Part]) -> Section:
    return Section(key="ranks", title="Ranks over blocks", short="Ranks", lead=LEAD, parts=parts)


def _ranked_metrics(study: Study) -> list[str]:
    judged = [name for name in study.board.metrics if name in study.judged]
    first = [study.board.ranked_by] if study.board.ranked_by else []
    return list(dict.fromkeys([*first, *judged]))


def ranking(study: Study, metric: str) -> Ranking:
    """Return the ranks of the methods in a judged metric; yardsticks are not ranked."""
    runs = study.results.runs
    meaning = study.schema[metric]
    direction = meaning.direction
    if direction == "info":
        raise ValueError(f"metric must be judged to be ranked, got {metric!r}")
    unranked = set(runs.loc[runs["reference"], "method"])
    return rank_methods(
        study.wide(metric), direction=direction, ideal=meaning.ideal, unranked=unranked
    )


def _by_metric(study: Study, rankings: dict[str, Ranking]) -> Table:
    methods = dict.fromkeys(
        str(m) for found in rankings.values() for m in found.average_ranks.index
    )
    columns = [Column(title="method", number=False)]
    columns += [
        Column(title=name, note=f"{len(found.ranks)} blocks") for name, found in rankings.items()
    ]
    rows = []
    for method in methods:
        cells = [Cell(text=method, color=study.looks[method].color)]
        for found in rankings.values():
            known = method in found.average_ranks.index
            cells.append(_rank(float(found.average_ranks[method]), found) if known else NONE)
        rows.append(Row(cells=cells))
    title = "Average rank by metric"
    return Table(columns=columns, rows=rows, title=title, compact=True)


def _by_block(metric: str, found: Ranking) -> Table:
    methods = [str(method) for method in found.average_ranks.index]
    columns = [Column(title="block", number=False), *(Column(title=name) for name in methods)]
    average = [_rank(float(rank), found) for rank in found.average_ranks]
    rows = [Row(cells=[Cell(text="average"), *average], aside=True)]
    for block in found.ranks.index:
        ranks = [_rank(float(found.ranks.loc[block, name]), found) for name in methods]
        rows.append(Row(cells=[Cell(text=str(block)), *ranks]))
    rows.append(rows.pop(0))
    title = f"Rank by block in {metric}"
    return Table(columns=columns, rows=rows, title=title, compact=True)


def _rank(rank: float, found: Ranking) -> Cell:
    worst = max(len(found.average_ranks) - 1, 1)
    return Cell(text=f"{rank:.3g}", sort=rank, shade=1 - 2 * (rank - 1) / worst)


def _diagram(study: Study, metric: str, found: Ranking) -> Picture:
    ranks = {str(method): float(rank) for method, rank in found.average_ranks.items()}
    told = (
        f"{len(found.ranks)} blocks. Friedman: χ² = {found.statistic:.1f}, "
        f"p = {format_number(found.p)}. Methods joined by a bar cannot be told apart (Nemenyi"
    )
    caption = f"{told}, α = {found.alpha:g}; critical difference {found.critical_difference:.2f})."
    if not found.rejects:
        caption += " The Friedman test does not reject: no method differs from another."
    return critical_picture(
        slug("critical-difference", metric),
        f"Critical differences in {metric}",
        caption,
        ranks,
        found.cliques,
        found.critical_difference,
        study.looks,
    )


def _told(known: dict[str, Ranking], enough: dict[str, Ranking]) -> list[Part]:
    """Return why there is no diagram, and what was left out of the ranks."""
    parts: list[Part] = []
    if not enough:
        found = next(iter(known.values()))
        blocks, methods = found.ranks.shape
        told = (
            f"No critical-difference diagram: it takes at least 3 methods and {ENOUGH_BLOCKS} "
            f"blocks to say anything, and here are {methods} and {blocks}."
        )
        if methods > 2 and blocks > 1:
            gap = critical_difference(methods, blocks)
            told += (
                f" With these, average ranks would have to differ by {gap:.2f} of {methods - 1}."
            )
        parts.append(Text(text=told, tone="quiet"))
    for name, found in known.items():
        for block, lacking in found.dropped.items():
            told = f"{name}: {block} is left out, it lacks {', '.join(lacking)}."
            parts.append(Text(text=told, tone="quiet"))
    return parts
