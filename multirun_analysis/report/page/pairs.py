"""Methods against gold and against a baseline, seed by seed, with corrected tests."""

import math
from collections.abc import Mapping, Sequence
from functools import partial

from erasure.schema import format_number
from multirun_analysis.leaderboard.comparison import PAIR
from multirun_analysis.report.page.parts import Cell, Column, Fold, Part, Row, Section, Table, Text
from multirun_analysis.report.page.study import Study, words
from multirun_analysis.statistics import (
    Comparison,
    compare_to_baseline,
    compare_to_gold,
)

LEAD = (
    "A pair shares split and training seed. p is that of the exact two-sided Wilcoxon "
    "signed-rank test, corrected by Holm over the methods of a metric and block. The smallest "
    "p that so many pairs can give at all is printed beside it: where it is above 0.05, the "
    "test cannot find anything, and no verdict is given. Not to differ significantly is no "
    "proof of being equal."
)
GOLD = "Differences from the gold model of the same seed, on the scale of the metric."
BASELINE = (
    "Differences of costs: of the distance from gold where closer to gold is better, of the "
    "negated value where more is better. Below 0 a method is better than the baseline."
)
HEADINGS = (
    Column(title="method", number=False),
    Column(title="metric", number=False),
    Column(title="difference", note="mean, ± half of the 95 % interval"),
    Column(title="pairs"),
    Column(title="p", note="Holm"),
    Column(title="smallest p", note="attainable, Holm"),
    Column(title="d_z", tip="Mean difference in units of its standard deviation (Cohen)."),
    Column(title="δ", tip="Cliff's delta: how often one is above the other, from -1 to 1."),
    Column(title="verdict", number=False),
)


def pairs_section(study: Study) -> Section:
    """Return both comparisons for every block."""
    parts: list[Part] = []
    for block in study.board.blocks:
        if (
            study.results.runs.loc[study.results.runs["block"] == block, "seed_train"].nunique()
            < 2
        ):
            told = "One training seed only, so there are no pairs to test."
            parts.append(Text(text=told, tone="quiet", block=block))
            continue
        parts += [*_to_gold(study, block), *_to_baseline(study, block)]
    if not parts:
        parts.append(Text(text="There is nothing to compare.", tone="quiet"))
    title = "Paired comparisons"
    return Section(key="pairs", title=title, short="Pairs", lead=LEAD, parts=parts)


def _to_gold(study: Study, block: str) -> list[Part]:
    rows: dict[str, list[Row]] = {}
    for metric in _compared(study):
        wide = study.wide(metric)
        here = wide[(wide["block"] == block) & ~wide["reference"]]
        if here.empty or here["gold"].isna().all() or study.schema[metric].ideal is not None:
            continue
        found = compare_to_gold(here, on=PAIR)
        rows[metric] = [_row(study, metric, one, ("below gold", "above gold")) for one in found]
    first = [name for name in rows if study.schema[name].direction == "closer_to_gold"]
    return _tables(rows, first or list(rows)[:1], "Against gold", GOLD, block)


def _to_baseline(study: Study, block: str) -> list[Part]:
    baseline = _baseline(study, block)
    rows: dict[str, list[Row]] = {}
    for metric in _compared(study) if baseline else ():
        meaning, wide = study.schema[metric], study.wide(metric)
        here = wide[(wide["block"] == block) & (~wide["reference"] | (wide["method"] == baseline))]
        if meaning.direction == "info" or here["method"].nunique() < 2:
            continue
        judge = partial(compare_to_baseline, here, baseline=baseline, on=PAIR)
        found = judge(direction=meaning.direction, ideal=meaning.ideal)
        rows[metric] = [_row(study, metric, one, ("better", "worse")) for one in found]
    return _tables(rows, list(rows)[:1], f"Against {baseline}", BASELINE, block)


def _tables(
    rows: Mapping[str, Sequence[Row]], first: Sequence[str], title: str, note: str, block: str
) -> list[Part]:
    """Return a table of the metrics that matter first, and one of the others to unfold."""
    if not rows:
        return []
    chosen = [row for name in first for row in rows[name]]
    others = [row for name in rows if name not in first for row in rows[name]]
    table = partial(Table, columns=HEADINGS, filtered=True, compact=True)
    parts: list[Part] = [table(rows=chosen, title=title, note=note, block=block)]
    if others:
        names = ", ".join(name for name in rows if name not in first)
        parts.append(Fold(title=f"{title}: {names}", parts=[table(rows=others)], block=block))
    return parts


def _compared(study: Study) -> list[str]:
    names = [study.board.ranked_by, *study.board.metrics]
    return [name for name in dict.fromkeys(names) if name in study.judged]


def _baseline(study: Study, block: str) -> str:
    """Return the baseline that was asked for, or else the first method of the block."""
    methods = [line.method for line in study.methods(block)]
    if study.baseline in methods:
        return study.baseline
    scored = [line.method for line in study.methods(block) if not line.reference and line.finished]
    return scored[0] if scored and not study.baseline else ""


def _row(study: Study, metric: str, found: Comparison, ways: Sequence[str]) -> Row:
    difference = found.difference
    half = "" if math.isnan(difference.half_width) else f"± {format_number(difference.half_width)}"
    mean = format_number(difference.mean)
    signed = mean if mean.startswith("-") or math.isnan(difference.mean) else f"+{mean}"
    verdict = _verdict(found, ways)
    cells = [
        Cell(text=found.subject, color=study.looks[found.subject].color),
        Cell(text=metric, tip=words(study.schema[metric])),
        Cell(text=signed, detail=half, sort=difference.mean),
        Cell(text=str(difference.n_ok), sort=difference.n_ok, detail=_partial(found)),
        Cell(
            text=format_number(found.p_wilcoxon_holm),
            sort=found.p_wilcoxon_holm,
            tip=_tests(found),
        ),
        Cell(text=format_number(found.smallest_p_holm), sort=found.smallest_p_holm),
        Cell(text=format_number(found.cohen_dz), sort=found.cohen_dz),
        Cell(text=format_number(found.cliffs_delta), sort=found.cliffs_delta),
        Cell(text=verdict, look="best" if found.significant else "none"),
    ]
    return Row(cells=cells)


def _verdict(found: Comparison, ways: Sequence[str]) -> str:
    if found.reason:
        return found.reason
    if not found.decisive:
        return "too few pairs to tell"
    if not found.significant:
        return "no difference shown"
    return ways[0] if found.difference.mean < 0 else ways[1]


def _partial(found: Comparison) -> str:
    return f"{found.partial} with missing values" if found.partial else ""


def _tests(found: Comparison) -> str:
    return "\n".join(
        [
            f"{found.subject} against {found.reference}",
            f"lower in {found.lower} pairs, equal in {found.equal}, higher in {found.higher}",
            f"signed-rank p {_corrected(found.p_wilcoxon, found.p_wilcoxon_holm)}",
            f"paired t-test p {_corrected(found.p_t, found.p_t_holm)}",
            f"{found.family} comparisons corrected together",
        ]
    )


def _corrected(p: float, holm: float) -> str:
    return f"{format_number(p)}, corrected {format_number(holm)}"
