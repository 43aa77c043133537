"""The leaderboard as LaTeX and CSV, and all of its tables as files."""

import re
from typing import TYPE_CHECKING

from multirun_analysis.read.frame import Results
from multirun_analysis.tables.aggregation import COLUMNS, aggregate
from multirun_analysis.tables.board import Board, Layout, lay_out, to_markdown
from multirun_analysis.tables.cells import CellText, Line, runs_text
from multirun_analysis.tables.provenance import provenance_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LATEX = {
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "·": r"$\cdot$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "≈": r"$\approx$",
    "→": r"$\rightarrow$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "–": "--",
}
SPECIAL = re.compile("|".join(map(re.escape, LATEX)))
PACKAGES = "% needs \\usepackage{booktabs} and, for wide tables, \\usepackage{graphicx}"


def to_latex(board: Board, *, label: str = "tab:leaderboard") -> str:
    r"""Return a ``table`` with ``booktabs`` rules, legend and provenance in small print below.

    Args:
        board: The leaderboard.
        label: What ``\ref`` refers to; the only text that is not escaped.
    """
    layout = lay_out(board)
    columns = len(board.metrics)
    head = " & ".join(["method", "$n$", *(_latex_header(*h) for h in layout.headers.values())])
    body = [line for block in layout.rows for line in _latex_block(layout, block, columns)]
    notes = [f"[{letter}] {reason}" for letter, reason in layout.footnotes.items()]
    notes += [*layout.legend, *(f"{name}: {text}" for name, text in board.provenance.items())]
    return "\n".join(
        [
            PACKAGES,
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_tex('; '.join(layout.rows))}}}",
            rf"\label{{{label}}}",
            rf"\begin{{tabular}}{{lr{'c' * columns}}}",
            r"\toprule",
            rf"{head} \\",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\par\smallskip\parbox{{\linewidth}}{{\footnotesize {_tex('. '.join(notes))}.}}",
            r"\end{table}",
            "",
        ]
    )


def to_csv(
    results: Results, metrics: "Sequence[str] | None" = None, *, level: float = 0.95
) -> str:
    """Return every number of the leaderboard, a row per method, block and metric.

    The provenance of the results is in columns, the same in every row.
    """
    table = aggregate(results, metrics, level=level)
    meanings = table["metric"].map(results.schema)
    table["direction"] = [meaning.direction for meaning in meanings]
    table["unit"] = [meaning.unit for meaning in meanings]
    for name, text in provenance_of(results).items():
        table[name.replace(" ", "_")] = text
    order = [*COLUMNS, *(name for name in table.columns if name not in COLUMNS)]
    return str(table[order].to_csv(index=False, lineterminator="\n"))


def write_tables(results: Results, board: Board, folder: "Path") -> "list[Path]":
    """Write ``leaderboard.md``, ``.tex`` and ``.csv`` into a folder, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "leaderboard.md": to_markdown(board),
        "leaderboard.tex": to_latex(board),
        "leaderboard.csv": to_csv(results, list(board.metrics), level=board.level),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def _latex_block(layout: Layout, block: str, columns: int) -> "list[str]":
    several = len(layout.rows) > 1
    title = [rf"\multicolumn{{{columns + 2}}}{{l}}{{{_tex(block)}}} \\"] if several else []
    rows = list[str]()
    for line, cells in layout.rows[block]:
        starts = line.reference and not any(row.startswith(r"\addlinespace") for row in rows)
        rows += [r"\addlinespace"] if starts and rows else []
        rows.append(_latex_row(line, cells))
    return [r"\midrule", *title, *rows]


def _latex_row(line: Line, cells: "Sequence[CellText]") -> str:
    name = rf"\emph{{{_tex(line.method)}}}" if line.reference else _tex(line.method)
    return rf"{' & '.join([name, runs_text(line), *map(_latex_cell, cells)])} \\"


def _latex_cell(cell: CellText) -> str:
    mean = _latex_number(cell.mean)
    parts = [
        (rf"$\mathbf{{{mean}}}$" if cell.best else f"${mean}$") if mean != "--" else mean,
        r"$\approx$" if cell.null else "",
        rf"$\pm\,{_latex_number(cell.half_width)}$" if cell.half_width else "",
        f"(${_latex_number(cell.gap)}$)" if cell.gap else "",
        cell.count,
        rf"\textsuperscript{{{cell.note}}}" if cell.note else "",
    ]
    return " ".join(part for part in parts if part)


def _latex_number(text: str) -> str:
    """Return ``7.1e-06`` as a power of ten."""
    digits, e, exponent = _tex(text).partition("e")
    return rf"{digits} \cdot 10^{{{int(exponent)}}}" if e else digits


def _latex_header(name: str, arrow: str) -> str:
    return f"{_tex(name)} {_tex(arrow)}".strip()


def _tex(text: str) -> str:
    # in one pass, or the braces of a replacement would be escaped again
    return SPECIAL.sub(lambda match: LATEX[match.group()], text)
