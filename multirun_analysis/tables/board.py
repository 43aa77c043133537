"""The leaderboard, its layout as texts, and Markdown: what a notebook shows is a part of it."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, product
from string import ascii_lowercase

from multirun_analysis.read.frame import MetricMeaning
from multirun_analysis.tables.cells import NULL_MARK, CellText, Line, cell_text, runs_text

ARROWS = {"max": "↑", "min": "↓", "closer_to_gold": "→ gold"}
READING = {
    "↑": "more is better",
    "↓": "less is better",
    "→ gold": "closer to the retrained model is better",
}


@dataclass(frozen=True, kw_only=True)
class Board:
    """A leaderboard.

    Args:
        metrics: Its columns, with their meaning.
        lines: Its rows by block, best first, yardsticks after methods.
        level: Confidence of the intervals.
        ranked_by: The metric that orders the rows, empty if there is none.
        silent: Metrics by block that cannot tell original from gold, let alone methods.
        provenance: What a table may not leave out, by name: seeds, forget set, hardware, commit.
        notes: What a reader has to know about how it was loaded.
    """

    metrics: Mapping[str, MetricMeaning]
    lines: Sequence[Line]
    level: float
    ranked_by: str
    silent: Mapping[str, Sequence[str]]
    provenance: Mapping[str, str]
    notes: Sequence[str]

    @property
    def blocks(self) -> list[str]:
        """The blocks, in the order of the lines."""
        return list(dict.fromkeys(line.block for line in self.lines))

    def _repr_markdown_(self) -> str:
        """Return the table as a notebook shows it."""
        return to_markdown(self)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A leaderboard as texts.

    Args:
        headers: Name and direction of each metric, by metric.
        rows: Lines by block, each with its cells in the order of the headers.
        footnotes: Reasons for missing values, by letter.
        legend: Sentences that explain the cells.
    """

    headers: Mapping[str, tuple[str, str]]
    rows: Mapping[str, Sequence[tuple[Line, Sequence[CellText]]]]
    footnotes: Mapping[str, str]
    legend: Sequence[str]


def lay_out(board: Board) -> Layout:
    """Return the texts of a leaderboard."""
    letters = _letters(board)
    rows: dict[str, list[tuple[Line, Sequence[CellText]]]] = {}
    for line in board.lines:
        cells = [cell_text(line.cells.get(name), letters) for name in board.metrics]
        rows.setdefault(line.block, []).append((line, cells))
    return Layout(
        headers={name: _header(name, meaning) for name, meaning in board.metrics.items()},
        rows=rows,
        footnotes={letter: reason for reason, letter in letters.items()},
        legend=_legend(board),
    )


def arrow(meaning: MetricMeaning) -> str:
    """Return which way is better, empty for what is not judged."""
    if meaning.direction == "closer_to_ideal" and meaning.ideal is not None:
        return f"→ {meaning.ideal:g}"
    return ARROWS.get(meaning.direction, "")


def to_markdown(board: Board) -> str:
    """Return one table per block, with legend, footnotes and provenance."""
    layout = lay_out(board)
    parts = [_markdown_block(layout, block) for block in layout.rows]
    notes = [f"- [{letter}] {_escaped(reason)}" for letter, reason in layout.footnotes.items()]
    notes += [f"- {_escaped(sentence)}" for sentence in layout.legend]
    notes += [f"- {name}: {_escaped(text)}" for name, text in board.provenance.items()]
    notes += [f"- note: {_escaped(text)}" for text in board.notes]
    return "\n\n".join([*parts, "\n".join(notes)]) + "\n"


def _header(name: str, meaning: MetricMeaning) -> tuple[str, str]:
    unit = f" [{meaning.unit}]" if meaning.unit else ""
    return name + unit, arrow(meaning)


def _letters(board: Board) -> dict[str, str]:
    """Return a letter for every reason: a, b, ..., z, aa, ab, ..."""
    reasons = dict.fromkeys(c.missing for line in board.lines for c in line.cells.values())
    # endless; zip takes as many as there are reasons
    words = ("".join(word) for size in count(1) for word in product(ascii_lowercase, repeat=size))
    return dict(zip(filter(None, reasons), words, strict=False))


def _legend(board: Board) -> list[str]:
    cells = [cell for line in board.lines for cell in line.cells.values()]
    percent = f"{100 * board.level:g} %"
    sentences = []
    if any(not math.isnan(cell.half_width) for cell in cells):
        sentences.append(f"± half of Student's {percent} interval over training seeds")
    if any(not math.isnan(cell.gap) for cell in cells):
        sentences.append("(mean distance of a run from its retrained model, gold)")
    arrows = dict.fromkeys(arrow(meaning) for meaning in board.metrics.values())
    sentences += [f"{sign} {READING[sign]}" for sign in arrows if sign in READING]
    if any(cell.best for cell in cells):
        sentences.append("bold: best, and its interval excludes all others")
    if any(cell.in_null_band for cell in cells):
        sentences.append(f"{NULL_MARK} where retrained models are, too")
    if board.ranked_by:
        sentences.append(f"ordered by {board.ranked_by}")
    sentences += [
        f"cannot tell original from gold on {b}: {', '.join(m)}" for b, m in board.silent.items()
    ]
    refused = Counter(cell.no_interval for cell in cells if cell.no_interval and cell.n_ok)
    sentences += [
        f"{number} cells without interval: {why}" for why, number in refused.most_common()
    ]
    return sentences


def _markdown_block(layout: Layout, block: str) -> str:
    headers = [f"{name} {arrow}".strip() for name, arrow in layout.headers.values()]
    lines: list[Iterable[str]] = [
        ["method", "n", *headers],
        ["---", "--:", *["--:"] * len(headers)],
    ]
    for line, cells in layout.rows[block]:
        name = f"*{_escaped(line.method)}*" if line.reference else _escaped(line.method)
        lines.append([name, runs_text(line), *(cell.plain("**") for cell in cells)])
    return "\n".join([f"**{_escaped(block)}**", "", *(f"| {' | '.join(row)} |" for row in lines)])


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
