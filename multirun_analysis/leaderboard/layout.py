"""A leaderboard as texts: what every way of showing it has in common."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count, product
from string import ascii_lowercase

from erasure.schema import NO_NUMBER, format_number
from multirun_analysis.leaderboard.board import Board, Cell, Line
from multirun_analysis.read.frame import MetricMeaning

ARROWS = {"max": "↑", "min": "↓", "closer_to_gold": "→ gold"}
READING = {
    "↑": "more is better",
    "↓": "less is better",
    "→ gold": "closer to the retrained model is better",
}
NULL_MARK = "≈"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A cell as texts, empty where there is nothing to say.

    Args:
        mean: The mean, or a dash.
        half_width: Half the length of the interval, without sign.
        gap: Mean distance to gold, without parentheses.
        count: ``2/3`` if values are missing.
        note: Letter of the footnote with the reason.
        best: Whether it is printed bold.
        null: Whether it carries the mark of the null band.
    """

    mean: str
    half_width: str = ""
    gap: str = ""
    count: str = ""
    note: str = ""
    best: bool = False
    null: bool = False

    def plain(self, bold: str = "") -> str:
        """Return it in one line, the mean between ``bold`` if it is best."""
        mean = f"{bold}{self.mean}{bold}" if self.best else self.mean
        parts = [
            mean + (f" {NULL_MARK}" if self.null else ""),
            f"± {self.half_width}" if self.half_width else "",
            f"({self.gap})" if self.gap else "",
            self.count,
            f"[{self.note}]" if self.note else "",
        ]
        return " ".join(part for part in parts if part)


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
    rows: Mapping[str, Sequence[tuple[Line, Sequence[Shown]]]]
    footnotes: Mapping[str, str]
    legend: Sequence[str]


def lay_out(board: Board) -> Layout:
    """Return the texts of a leaderboard."""
    letters = _letters(board)
    rows: dict[str, list[tuple[Line, Sequence[Shown]]]] = {}
    for line in board.lines:
        cells = [_shown(line.cells.get(name), letters) for name in board.metrics]
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


def runs_text(line: Line) -> str:
    """Return how many runs finished, of how many if not all."""
    return str(line.total) if line.finished == line.total else f"{line.finished} of {line.total}"


def _header(name: str, meaning: MetricMeaning) -> tuple[str, str]:
    unit = f" [{meaning.unit}]" if meaning.unit else ""
    return name + unit, arrow(meaning)


def _shown(cell: Cell | None, letters: Mapping[str, str]) -> Shown:
    if cell is None:
        return Shown(mean=NO_NUMBER)
    return Shown(
        mean=format_number(cell.mean),
        half_width="" if math.isnan(cell.half_width) else format_number(cell.half_width),
        gap="" if math.isnan(cell.gap) else format_number(cell.gap),
        count=f"{cell.n_ok}/{cell.n}" if cell.n_ok < cell.n else "",
        note=letters.get(cell.missing, ""),
        best=cell.best,
        null=cell.in_null_band,
    )


def _letters(board: Board) -> dict[str, str]:
    """Return a letter for every reason: a, b, ..., z, aa, ab, ..."""
    reasons = dict.fromkeys(c.missing for line in board.lines for c in line.cells.values())
    words = ("".join(word) for size in count(1) for word in product(ascii_lowercase, repeat=size))
    return dict(zip(filter(None, reasons), words, strict=False))


def _legend(board: Board) -> list[str]:
    cells = [cell for line in board.lines for cell in line.cells.values()]
    percent = f"{100 * board.level:g} %"
    told = []
    if any(not math.isnan(cell.half_width) for cell in cells):
        told.append(f"± half of Student's {percent} interval over training seeds")
    if any(not math.isnan(cell.gap) for cell in cells):
        told.append("(mean distance of a run from its retrained model, gold)")
    arrows = dict.fromkeys(arrow(meaning) for meaning in board.metrics.values())
    told += [f"{one} {READING[one]}" for one in arrows if one in READING]
    if any(cell.best for cell in cells):
        told.append("bold: best, and its interval excludes all others")
    if any(cell.in_null_band for cell in cells):
        told.append(f"{NULL_MARK} where retrained models are, too")
    if board.ranked_by:
        told.append(f"ordered by {board.ranked_by}")
    told += [
        f"cannot tell original from gold on {b}: {', '.join(m)}" for b, m in board.silent.items()
    ]
    refused = Counter(cell.no_interval for cell in cells if cell.no_interval and cell.n_ok)
    told += [f"{number} cells without interval: {why}" for why, number in refused.most_common()]
    return told
