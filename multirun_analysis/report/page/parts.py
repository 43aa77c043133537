"""What a page is made of. Nothing here knows HTML, and every text is escaped when it is shown."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from multirun_analysis.report.pictures import Drawing, Picture

Tone = Literal["plain", "quiet", "warning"]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of a table.

    Args:
        text: What it says.
        detail: Small print below it.
        tip: What it says when it is pointed at.
        sort: What its column is sorted by: a number, or NaN for what comes last; None sorts by
            the text.
        shade: From 1, as good as it gets, over 0 to -1; NaN for no color.
        look: Names of styles: ``best``, ``null``, ``silent``, ``none``, ``code``.
        color: Of a mark before the text, as ``#RRGGBB``; empty for none.
        target: Key of the part of the page that it leads to, empty for none.
        copies: Text that a button copies, empty for no button.
        picture: An image as a ``data:`` address, empty for none.
    """

    text: str
    detail: str = ""
    tip: str = ""
    sort: float | None = None
    shade: float = math.nan
    look: str = ""
    color: str = ""
    target: str = ""
    copies: str = ""
    picture: str = ""


@dataclass(frozen=True, kw_only=True)
class TableColumn:
    """A column of a table.

    Args:
        title: Its heading.
        note: Small print below the heading.
        tip: What it says when it is pointed at.
        number: Whether it holds numbers.
        wide: Whether it holds sentences.
    """

    title: str
    note: str = ""
    tip: str = ""
    number: bool = True
    wide: bool = False


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """A row of a table.

    Args:
        cells: Aligned with the columns.
        aside: Whether it is a yardstick, set apart from the others.
    """

    cells: Sequence[Cell]
    aside: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table that can be sorted by any column.

    Args:
        columns: Its columns; the first stays in sight when the table is wider than the screen.
        rows: Its rows.
        title: Above it, empty for none.
        note: Below it, empty for none.
        block: The block that it is about, empty for all.
        filtered: Whether its rows can be filtered by a text.
        compact: Whether small print stands beside the text instead of below it.
    """

    columns: Sequence[TableColumn]
    rows: Sequence[TableRow]
    title: str = ""
    note: str = ""
    block: str = ""
    filtered: bool = False
    compact: bool = False
    kind: str = field(default="table", init=False)


@dataclass(frozen=True, kw_only=True)
class Text:
    """A paragraph.

    Args:
        text: What it says.
        tone: How it is said.
        block: The block that it is about, empty for all.
    """

    text: str
    tone: Tone = "plain"
    block: str = ""
    kind: str = field(default="text", init=False)


@dataclass(frozen=True, kw_only=True)
class Items:
    """A list: of sentences, or of names and what they stand for.

    Args:
        items: Name and text; an empty name for a sentence.
        block: The block that it is about, empty for all.
    """

    items: Sequence[tuple[str, str]]
    block: str = ""
    kind: str = field(default="items", init=False)


@dataclass(frozen=True, kw_only=True)
class Code:
    """A command to copy.

    Args:
        text: The command.
        title: What it does.
        block: The block that it is about, empty for all.
    """

    text: str
    title: str = ""
    block: str = ""
    kind: str = field(default="code", init=False)


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Pictures side by side, as many as the screen is wide.

    Args:
        pictures: What is drawn, or was.
        block: The block that they are about, empty for all.
    """

    pictures: Sequence[Picture | Drawing]
    block: str = ""
    kind: str = field(default="gallery", init=False)


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Parts that are shown when they are asked for.

    Args:
        title: What is inside.
        parts: Inside.
        detail: Small print beside the title.
        key: What links lead to, empty for none.
        block: The block that it is about, empty for all.
        color: Of a mark before the title, empty for none.
    """

    title: str
    parts: "Sequence[Part]"
    detail: str = ""
    key: str = ""
    block: str = ""
    color: str = ""
    kind: str = field(default="fold", init=False)


Part: TypeAlias = Table | Text | Items | Code | Gallery | Fold


@dataclass(frozen=True, kw_only=True)
class Section:
    """A chapter of the page.

    Args:
        key: What links lead to.
        title: Its heading.
        parts: What is in it.
        lead: What it shows and how to read it.
        short: Its name in the table of contents, the title if empty.
    """

    key: str
    title: str
    parts: Sequence[Part]
    lead: str = ""
    short: str = ""
