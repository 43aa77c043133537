"""From sections to one HTML file that needs nothing else."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from multirun_analysis.report.page.parts import Fold, Gallery, Part, Section
from multirun_analysis.report.pictures import Drawing, Picture, save

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

FOLDER = "figures"
# the empty place after a slash or underscore that a word follows
BREAKS = re.compile(r"(?<=[/_])(?=\w)")


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page.

    Args:
        title: Its title.
        subtitle: Below the title.
        notes: What a reader has to know first.
        blocks: What parts of the page can be about, in order.
        sections: Its chapters.
        made: When and by what it was made.
    """

    title: str
    subtitle: str
    notes: Sequence[str]
    blocks: Sequence[str]
    sections: Sequence[Section]
    made: str


def write_page(page: Page, folder: Path) -> Path:
    """Draw all pictures, write the page as ``index.html``, and return its path."""
    sections = [replace(s, parts=_drawn(s.parts, folder / FOLDER)) for s in page.sections]
    template = _environment().get_template("page.html.j2")
    text = template.render(
        page=replace(page, sections=sections),
        style=_asset("style.css"),
        script=_asset("script.js"),
        numbers={block: number for number, block in enumerate(page.blocks)},
    )
    path = folder / "index.html"
    path.write_text(text, encoding="utf-8")
    return path


def _drawn(parts: Iterable[Part], folder: Path) -> list[Part]:
    """Return the parts with drawings in place of what is to be drawn."""
    drawn: list[Part] = []
    for part in parts:
        if isinstance(part, Gallery):
            drawn.append(
                replace(part, pictures=[_saved(picture, folder) for picture in part.pictures])
            )
        elif isinstance(part, Fold):
            drawn.append(replace(part, parts=_drawn(part.parts, folder)))
        else:
            drawn.append(part)
    return drawn


def _saved(picture: Picture | Drawing, folder: Path) -> Drawing:
    return save(picture, folder) if isinstance(picture, Picture) else picture


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FunctionLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FunctionLoader(_asset),
        autoescape=select_autoescape(("html.j2",), default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment


def _breakable(text: str) -> "Markup":
    """Return a name that may be broken after a slash or an underscore."""
    from markupsafe import Markup, escape

    words = BREAKS.split(text)
    return Markup("<wbr>").join(escape(word) for word in words)


def _asset(name: str) -> str:
    return (
        files("multirun_analysis.report.page")
        .joinpath("templates", name)
        .read_text(encoding="utf-8")
    )


def slug(*texts: str) -> str:
    """Return texts as one name for a file or a link."""
    words: Mapping[int, str] = {ord(char): "-" for char in " ·/()=,.:<>|\\\"'"}
    # several such signs in a row become one dash
    joined = "-".join(texts).translate(words).lower()
    return "-".join(filter(None, joined.split("-")))
