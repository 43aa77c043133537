"""Methods against gold and against a baseline, seed by seed, with corrected tests."""

import math
from collections.abc import Mapping, Sequence
from functools import partial

from erasure.schema import format_number
from multirun_analysis.report.page.data import ReportData, direction_text
from multirun_analysis.report.page.parts import (
    Cell,
    Fold,
    Part,
    Section,
    Table,
    TableColumn,
    TableRow,
    Text,
)
from multirun_analysis.statistics import (
    PairedComparison,
    compare_to_baseline,
    compare_to_gold,
)
from multirun_analysis.tables.comparison import PAIR

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
    TableColumn(title="method", number=False),
    TableColumn(title="metric", number=False),
    TableColumn(title="difference", note="mean, ± half of the 95 % interval"),
    TableColumn(title="pairs"),
    TableColumn(title="p", note="Holm"),
    TableColumn(title="smallest p", note="attainable, Holm"),
    TableColumn(title="d_z", tip="Mean difference in units of its standard deviation (Cohen)."),
    TableColumn(title="δ", tip="Cliff's delta: how often one is above the other, from -1 to 1."),
    TableColumn(title="verdict", number=False),
)


def pairs_section(data: ReportData) -> Section:
    """Return both comparisons for every block."""
    parts: list[Part] = []
    for block in data.board.blocks:
        if data.results.runs.loc[data.results.runs["block"] == block, "seed_train"].nunique() < 2:
            message = "One training seed only, so there are no pairs to test."
            parts.append(Text(text=message, tone="quiet", block=block))
            continue
        parts += [*_to_gold(data, block), *_to_baseline(data, block)]
    if not parts:
        parts.append(Text(text="There is nothing to compare.", tone="quiet"))
    title = "Paired comparisons"
    return Section(key="pairs", title=title, short="Pairs", lead=LEAD, parts=parts)


def _to_gold(data: ReportData, block: str) -> list[Part]:
    rows: dict[str, list[TableRow]] = {}
    for metric in _compared(data):
        wide = data.wide(metric)
        candidates = wide[(wide["block"] == block) & ~wide["reference"]]
        if (
            candidates.empty
            or candidates["gold"].isna().all()
            or data.schema[metric].has_own_ideal
        ):
            continue
        comparisons = compare_to_gold(candidates, on=PAIR)
        rows[metric] = [
            _row(data, metric, comparison, ("below gold", "above gold"))
            for comparison in comparisons
        ]
    first = [name for name in rows if data.schema[name].direction == "closer_to_gold"]
    return _tables(rows, first or list(rows)[:1], "Against gold", GOLD, block)


def _to_baseline(data: ReportData, block: str) -> list[Part]:
    baseline = _baseline(data, block)
    rows: dict[str, list[TableRow]] = {}
    for metric in _compared(data) if baseline else ():
        meaning, wide = data.schema[metric], data.wide(metric)
        compared = wide[
            (wide["block"] == block) & (~wide["reference"] | (wide["method"] == baseline))
        ]
        if meaning.direction == "info" or compared["method"].nunique() < 2:
            continue
        judge = partial(compare_to_baseline, compared, baseline=baseline, on=PAIR)
        comparisons = judge(direction=meaning.direction, ideal=meaning.ideal)
        rows[metric] = [
            _row(data, metric, comparison, ("better", "worse")) for comparison in comparisons
        ]
    return _tables(rows, list(rows)[:1], f"Against {baseline}", BASELINE, block)


def _tables(
    rows: Mapping[str, Sequence[TableRow]],
    first_metrics: Sequence[str],
    title: str,
    note: str,
    block: str,
) -> list[Part]:
    """Return a table of the metrics that matter first, and one of the others to unfold."""
    if not rows:
        return []
    shown = [row for name in first_metrics for row in rows[name]]
    folded = [row for name in rows if name not in first_metrics for row in rows[name]]
    table = partial(Table, columns=HEADINGS, filtered=True, compact=True)
    parts: list[Part] = [table(rows=shown, title=title, note=note, block=block)]
    if folded:
        names = ", ".join(name for name in rows if name not in first_metrics)
        parts.append(Fold(title=f"{title}: {names}", parts=[table(rows=folded)], block=block))
    return parts


def _compared(data: ReportData) -> list[str]:
    names = [data.board.ranked_by, *data.board.metrics]
    return [name for name in dict.fromkeys(names) if name in data.judged]


def _baseline(data: ReportData, block: str) -> str:
    """Return the baseline that was asked for, or else the first method of the block."""
    methods = [line.method for line in data.methods(block)]
    if data.baseline in methods:
        return data.baseline
    scored = [line.method for line in data.methods(block) if not line.reference and line.finished]
    return scored[0] if scored and not data.baseline else ""


def _row(
    data: ReportData, metric: str, comparison: PairedComparison, ways: Sequence[str]
) -> TableRow:
    difference = comparison.difference
    half = "" if math.isnan(difference.half_width) else f"± {format_number(difference.half_width)}"
    mean = format_number(difference.mean)
    signed = mean if mean.startswith("-") or math.isnan(difference.mean) else f"+{mean}"
    verdict = _verdict(comparison, ways)
    cells = [
        Cell(text=comparison.subject, color=data.looks[comparison.subject].color),
        Cell(text=metric, tip=direction_text(data.schema[metric])),
        Cell(text=signed, detail=half, sort=difference.mean),
        Cell(text=str(difference.n_ok), sort=difference.n_ok, detail=_partial(comparison)),
        Cell(
            text=format_number(comparison.p_wilcoxon_holm),
            sort=comparison.p_wilcoxon_holm,
            tip=_tests(comparison),
        ),
        Cell(text=format_number(comparison.smallest_p_holm), sort=comparison.smallest_p_holm),
        Cell(text=format_number(comparison.cohen_dz), sort=comparison.cohen_dz),
        Cell(text=format_number(comparison.cliffs_delta), sort=comparison.cliffs_delta),
        Cell(text=verdict, look="best" if comparison.significant else "none"),
    ]
    return TableRow(cells=cells)


def _verdict(comparison: PairedComparison, ways: Sequence[str]) -> str:
    if comparison.reason:
        return comparison.reason
    if not comparison.decisive:
        return "too few pairs to tell"
    if not comparison.significant:
        return "no difference shown"
    return ways[0] if comparison.difference.mean < 0 else ways[1]


def _partial(comparison: PairedComparison) -> str:
    return f"{comparison.partial} with missing values" if comparison.partial else ""


def _tests(comparison: PairedComparison) -> str:
    return "\n".join(
        [
            f"{comparison.subject} against {comparison.reference}",
            f"lower in {comparison.lower} pairs, equal in {comparison.equal}, "
            f"higher in {comparison.higher}",
            f"signed-rank p {_corrected(comparison.p_wilcoxon, comparison.p_wilcoxon_holm)}",
            f"paired t-test p {_corrected(comparison.p_t, comparison.p_t_holm)}",
            f"{comparison.family} comparisons corrected together",
        ]
    )


def _corrected(p: float, holm: float) -> str:
    return f"{format_number(p)}, corrected {format_number(holm)}"
