"""The documentation speaks of what there is, and what is made of the classes is up to date."""

import re
from pathlib import Path

import pytest

from erasure.cli.pages import datasets, layout, methods, metrics
from erasure.cli.pages.markdown import parse_docstring, replaced, table

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"
PAGES = ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


def sections_on(page, level="### "):
    """Return the sections of a page by the name in their heading."""
    parts = re.split(rf"^{level}`(\w+)`\n", (ROOT / page).read_text(), flags=re.MULTILINE)
    texts = (re.split(r"\n<!-- end|\n## ", text)[0].strip() for text in parts[2::2])
    return dict(zip(parts[1::2], texts, strict=True))


def stale(page, made):
    """Return the sections of a page that are not what is made of the code today.

    One that the page lacks is not among them: a method or metric is one Python file and one YAML
    file, and whoever releases writes the pages.
    """
    kept = sections_on(page)
    return [n for n, text in kept.items() if made.get(n) != f"### `{n}`\n\n{text}"]


def test_the_sections_of_methods_are_those_of_the_classes():
    assert stale(methods.PAGE, methods.sections(CONF)) == [], "python -m erasure docs --write"
    assert len(sections_on(methods.PAGE)) >= 39


def test_every_row_of_the_methods_is_that_of_the_class():
    made = methods.blocks(CONF)["table"].splitlines()
    begin, end = "<!-- made: table -->", "<!-- end: table -->"
    kept = (ROOT / methods.PAGE).read_text().partition(begin)[2].partition(end)[0]
    assert [row for row in kept.strip().splitlines() if row not in made] == []


@pytest.mark.slow
def test_the_sections_of_metrics_are_those_of_the_classes():
    made = {n: text for room in metrics.sections(CONF).values() for n, text in room.items()}
    assert stale(metrics.PAGE, made) == [], "python -m erasure docs --write"
    assert len(sections_on(metrics.PAGE)) >= 58


def test_the_layout_is_that_of_the_folders():
    page = (ROOT / layout.PAGE).read_text()
    assert replaced(page, layout.blocks(CONF)) == page, "python -m erasure docs --write"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    path = ROOT / page
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


@pytest.mark.slow
def test_the_tables_of_data_sets_and_models_are_those_of_the_files():
    page = (ROOT / datasets.PAGE).read_text()
    assert replaced(page, datasets.blocks(CONF)) == page, "python -m erasure docs --write"
    for option in ("cifar10", "adult", "mutag", "ag_news", "celeba"):
        assert f"| `{option}` |" in page


def test_a_docstring_is_taken_apart():
    docstring = parse_docstring(
        """Do it.

        In two ``lines``
        of :math:`x`.

        Args:
            alpha: A share,
                in [0, 1].
            beta: Another.

        References:
            A. Author, :class:`~a.b.C`.
        """
    )
    assert docstring.summary == "Do it."
    assert docstring.body == "In two `lines` of $x$."
    assert docstring.arguments == {"alpha": "A share, in [0, 1].", "beta": "Another."}
    assert docstring.sections == {"References": "A. Author, `C`."}


def test_a_block_is_replaced_between_its_marks_alone():
    page = "a\n<!-- made: x -->\nold\n<!-- end: x -->\nb\n"
    once = replaced(page, {"x": "new"})
    assert once == "a\n<!-- made: x -->\n\nnew\n\n<!-- end: x -->\nb\n"
    assert replaced(once, {"x": "new"}) == once
    with pytest.raises(ValueError, match="the page lacks <!-- made: y -->"):
        replaced(page, {"y": "new"})


def test_a_bar_in_a_cell_does_not_end_it():
    assert table(("a",), [("x|y",)])[-1] == "| x\\|y |"
