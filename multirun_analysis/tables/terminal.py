"""What a terminal shows."""

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from erasure.schema import format_number
from multirun_analysis.read.frame import Results
from multirun_analysis.tables.best_trial import BestTrial
from multirun_analysis.tables.board import Board, Layout, arrow, lay_out
from multirun_analysis.tables.cells import NULL_MARK, CellText, Line, runs_text
from multirun_analysis.tables.comparison import Difference, SideBySide

FEW = 10
"""Failures that are listed one by one."""


def show_board(board: Board, results: Results, console: Console, rows: int) -> None:
    """Print a leaderboard, what failed, and how to read it.

    Args:
        board: The leaderboard.
        results: What it was made of.
        console: Where to.
        rows: Lines per block, yardsticks and models not counted; 0 for all.
    """
    layout = lay_out(board)
    for sweep in results.sweeps[:3]:
        _say(console, f"{sweep.name}  {sweep.run_id[:8]}", "bold")
    for block, lines in layout.rows.items():
        shown, hidden = _first(lines, rows)
        _say(console, f"\n{block}", "bold")
        wide, narrow = (_table(layout, shown, one_line=fits) for fits in (True, False))
        # measured without a limit, since Rich never reports more than the width it has
        unlimited = console.options.update(max_width=10_000)
        fits = console.measure(wide, options=unlimited).maximum <= console.width
        console.print(wide if fits else narrow)
        if hidden:
            _say(console, f"{hidden} more, --rows 0 shows all", "dim")
    _show_failures(results, console)
    console.print()
    for letter, reason in layout.footnotes.items():
        _say(console, f"[{letter}] {reason}", "yellow")
    provenance = "; ".join(f"{name}: {text}" for name, text in board.provenance.items())
    for text in ("; ".join(layout.legend), provenance):
        console.print(Text(text, style="dim"))
    for note in board.notes:
        _say(console, f"note: {note}", "yellow")


def show_comparison(comparison: SideBySide, console: Console) -> None:
    """Print two runs or methods side by side."""
    for title, name in (("A", comparison.a), ("B", comparison.b)):
        _say(console, f"{title}  {name}", "bold")
    console.print(_settings_table(comparison) if comparison.settings else "\nno setting differs")
    for block in dict.fromkeys(difference.block for difference in comparison.differences):
        _say(console, f"\n{block}", "bold")
        console.print(_differences_table(comparison, block))
    if not comparison.are_runs:
        _say(console, _about_pairs(comparison.differences), "dim")


def show_best(trials: Sequence[BestTrial], console: Console) -> None:
    """Print the best trials and their commands."""
    for trial in trials:
        _say(console, f"{trial.name}  {trial.run_id[:8]}", "bold")
        chosen = f"best of {trial.others + 1} trials on {trial.block}"
        _say(console, f"{trial.metric} {format_number(trial.value)}, {chosen}")
        if trial.heldout == "test" and trial.others:
            _say(
                console,
                "chosen on the test set, so the number flatters; evaluator=fast chooses on "
                "validation data",
                "yellow",
            )
        _say(console, f"\n{trial.command}\n")


def _first(
    lines: Sequence[tuple[Line, Sequence[CellText]]], rows: int
) -> tuple[list[tuple[Line, Sequence[CellText]]], int]:
    methods = [item for item in lines if not item[0].reference]
    kept = methods[:rows] if rows else methods
    return [*kept, *(item for item in lines if item[0].reference)], len(methods) - len(kept)


def _table(
    layout: Layout, lines: Sequence[tuple[Line, Sequence[CellText]]], *, one_line: bool
) -> Table:
    """Return the table, a cell in one line or a line for each of its numbers."""
    table = Table(box=None, padding=(0, 3 if one_line else 1, 0, 0), pad_edge=False)
    table.add_column("method", overflow="fold")
    table.add_column("n", justify="right", no_wrap=True)
    for name, direction in layout.headers.values():
        heading = f"{name} {direction}" if one_line else _stacked_heading(name, direction)
        table.add_column(Text(heading), justify="right", no_wrap=True)
    before = False
    for line, cells in lines:
        if line.reference and not before:
            table.add_section()
        before = line.reference
        texts = [_cell(cell, one_line=one_line) for cell in cells]
        style = "italic dim" if line.reference else ""
        table.add_row(Text(line.method), runs_text(line), *texts, style=style)
    return table


def _stacked_heading(name: str, direction: str) -> str:
    return "\n".join([*name.replace("/", "\n").replace("_", "\n").split(), direction])


def _cell(cell: CellText, *, one_line: bool) -> Text:
    style = "bold green" if cell.best else ""
    if one_line:
        return Text(cell.plain(), style=style)
    lines = [
        cell.mean + (f" {NULL_MARK}" if cell.null else ""),
        f"±{cell.half_width}" if cell.half_width else "",
        f"({cell.gap})" if cell.gap else "",
        " ".join(part for part in (cell.count, f"[{cell.note}]" if cell.note else "") if part),
    ]
    return Text("\n".join(line for line in lines if line), style=style)


def _show_failures(results: Results, console: Console) -> None:
    failed = results.runs[results.runs["outcome"] != "finished"]
    if failed.empty:
        return
    console.print()
    for run in failed.head(FEW).to_dict("records"):
        _say(console, f"{run['outcome']}: {run['name']}: {run['reason'] or 'no reason'}", "red")
    if len(failed) > FEW:
        _say(console, f"and {len(failed) - FEW} more that did not finish", "red")


def _settings_table(comparison: SideBySide) -> Table:
    table = Table(box=None, padding=(0, 3, 0, 0), pad_edge=False)
    for heading in ("setting", "A", "B"):
        table.add_column(heading, overflow="fold")
    for key, (a, b) in comparison.settings.items():
        table.add_row(Text(key), Text(a or "–"), Text(b or "–"))
    return table


def _differences_table(comparison: SideBySide, block: str) -> Table:
    table = Table(box=None, padding=(0, 3, 0, 0), pad_edge=False)
    table.add_column("metric", overflow="fold")
    headings = ["A", "B", "A - B"] if comparison.are_runs else ["A", "B", "A - B", "pairs", "p"]
    for heading in [*headings, "better"]:
        table.add_column(heading, justify="right", no_wrap=True)
    for difference in comparison.differences:
        if difference.block == block:
            unit = f" [{difference.meaning.unit}]" if difference.meaning.unit else ""
            cells = [format_number(difference.a), format_number(difference.b), _signed(difference)]
            cells += (
                [] if comparison.are_runs else [str(difference.pairs), format_number(difference.p)]
            )
            heading = f"{difference.metric}{unit} {arrow(difference.meaning)}"
            table.add_row(Text(heading), *cells, difference.better.upper())
    return table


def _signed(difference: Difference) -> str:
    if math.isnan(difference.difference):
        return format_number(difference.difference)
    sign = "-" if difference.difference < 0 else "+"
    half = (
        "" if math.isnan(difference.half_width) else f" ± {format_number(difference.half_width)}"
    )
    return f"{sign}{format_number(abs(difference.difference))}{half}"


def _about_pairs(differences: Sequence[Difference]) -> str:
    sentences = ["pairs share split and training seed; better if the 95 % interval excludes 0"]
    sentences.append("p: exact signed-rank test, not corrected for the number of metrics")
    floors = {
        difference.pairs: difference.smallest_p
        for difference in differences
        if not math.isnan(difference.smallest_p)
    }
    sentences += [
        f"{n} pairs give no p below {format_number(p)}"
        for n, p in sorted(floors.items())
        if p > 0.05
    ]
    return "; ".join(sentences)


def _say(console: Console, text: str, style: str = "") -> None:
    """Print one text as it is; a command or a path stays in one line to be copied."""
    console.print(Text(text, style=style), soft_wrap=True)
