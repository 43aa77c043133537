"""From docstrings to Markdown, without importing the modules they stand in."""

import ast
import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_SECTION = re.compile(r"^(Args|Passes|Deviations|References|Notes|Raises|Attributes):$", re.M)
_ARGUMENT = re.compile(r"^ {4}(\w+)(?: \([^)]*\))?: ", re.M)


@dataclass(frozen=True)
class Docstring:
    """A docstring, taken apart.

    Args:
        summary: Its first paragraph, one line.
        body: What follows before the first section.
        sections: Text of each section by its heading, unindented.
        arguments: Text of each argument by its name.
    """

    summary: str = ""
    body: str = ""
    sections: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)


def parse_docstring(text: str) -> Docstring:
    """Take the docstring ``text`` apart by its Google-style headings."""
    parts = _SECTION.split(inspect.cleandoc(text))
    summary, _, body = parts[0].partition("\n\n")
    # splitting by a group gives text, heading, text, heading and so on; so it does below
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    arguments = _ARGUMENT.split(sections.pop("Args", ""))[1:]
    return Docstring(
        summary=_joined(summary),
        body=_paragraphs(body),
        sections={name: _paragraphs(inspect.cleandoc(text)) for name, text in sections.items()},
        arguments={
            name: _joined(text) for name, text in zip(arguments[::2], arguments[1::2], strict=True)
        },
    )


def public_class(path: Path) -> tuple[str, Docstring] | None:
    """Return name and docstring of the first public class of a module, or None."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            return node.name, parse_docstring(ast.get_docstring(node) or "")
    return None


def module_summary(path: Path) -> str:
    """Return the first line of the docstring of a module."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return _joined(text.partition("\n\n")[0])


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def replaced(page: str, blocks: Mapping[str, str]) -> str:
    """Return ``page`` with every block between its markers made anew.

    Raises:
        ValueError: If the page lacks the markers of a block.
    """
    for name, text in blocks.items():
        begin, end = f"<!-- made: {name} -->", f"<!-- end: {name} -->"
        before, found_begin, rest = page.partition(begin)
        _, found_end, after = rest.partition(end)
        if not (found_begin and found_end):
            raise ValueError(f"the page lacks {begin} or {end}")
        page = f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}"
    return page


def _paragraphs(text: str) -> str:
    return "\n\n".join(_block(part) for part in re.split(r"\n{2,}", text.strip()) if part)


def _block(text: str) -> str:
    """Join the lines of a paragraph; lists and indented examples keep theirs."""
    if re.match(r"^(\s|[*-] |\d\. |>>>|\|)", text):
        return _inline(text)
    return _joined(text)


def _joined(text: str) -> str:
    return _inline(" ".join(text.split()))


def _inline(text: str) -> str:
    text = re.sub(r":math:`([^`]+)`", r"$\1$", text)
    # :class:`~a.b.C` becomes `C`, as does :class:`.C`
    text = re.sub(r":\w+:`~?\.?(?:[\w.]+\.)?(\w+)`", r"`\1`", text)
    return text.replace("``", "`")
