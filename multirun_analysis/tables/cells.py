"""A line of the leaderboard, its cells, and both as texts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from erasure.schema import NO_NUMBER, format_number

NULL_MARK = "≈"
"""Beside a mean that lies in the null band."""


@dataclass(frozen=True, kw_only=True)
class BoardCell:
    """A metric of a method in a block, over seeds.

    Args:
        mean: Mean, NaN if there is no value.
        half_width: Half the length of its interval, NaN without one.
        gap: Mean distance of a run from its gold model, NaN where that has no meaning.
        n_ok: Runs with a value.
        n: Runs there should be.
        best: Whether it is better than all others and its interval excludes theirs.
        in_null_band: Whether retrained models are just as far from each other.
        missing: Why values are missing, empty if none is.
        no_interval: Why there is no interval, empty if there is one.
    """

    mean: float
    half_width: float
    gap: float
    n_ok: int
    n: int
    best: bool
    in_null_band: bool
    missing: str
    no_interval: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row of the leaderboard.

    Args:
        block: Data set, model and split.
        method: Unlearner and swept settings, or ``original`` or ``gold``.
        reference: Whether it is a yardstick and no candidate for the best.
        model: Whether it is the original or the gold model instead of a method.
        finished: Runs that finished; of a model, how many there are.
        total: Runs there should be.
        cells: By metric; a metric nobody measured for it is missing.
    """

    block: str
    method: str
    reference: bool
    model: bool
    finished: int
    total: int
    cells: Mapping[str, BoardCell]


@dataclass(frozen=True, kw_only=True)
class CellText:
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


def cell_text(cell: BoardCell | None, letters: Mapping[str, str]) -> CellText:
    """Return a cell as texts; None is a metric nobody measured for the method.

    Args:
        cell: The cell.
        letters: Letter of the footnote by reason for missing values.
    """
    if cell is None:
        return CellText(mean=NO_NUMBER)
    return CellText(
        mean=format_number(cell.mean),
        half_width="" if math.isnan(cell.half_width) else format_number(cell.half_width),
        gap="" if math.isnan(cell.gap) else format_number(cell.gap),
        count=f"{cell.n_ok}/{cell.n}" if cell.n_ok < cell.n else "",
        note=letters.get(cell.missing, ""),
        best=cell.best,
        null=cell.in_null_band,
    )


def runs_text(line: Line) -> str:
    """Return how many runs finished, and of how many if not all: ``3``, ``2 of 3``."""
    return str(line.total) if line.finished == line.total else f"{line.finished} of {line.total}"
