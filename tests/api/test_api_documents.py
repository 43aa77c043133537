"""The examples of docstrings and of docs/python.md are run; importing erasure is light."""

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest

import erasure
from erasure.api.surroundings import undisturbed

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
SECTIONS = ("A trial", "Many trials", "A search", "A model and data of one's own")


@pytest.mark.parametrize("name", ["unlearn", "evaluate", "leaderboard"])
def test_the_examples_of_docstrings_are_true(name):
    module = import_module(f"erasure.api.{name}")
    with undisturbed(0):
        result = doctest.testmod(module)
    assert result.attempted >= 4
    assert result.failed == 0


def blocks(section):
    text = PAGE.read_text(encoding="utf-8")
    (body,) = re.findall(rf"^## {section}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return re.findall(r"^```python\n(.*?)^```$", body, re.MULTILINE | re.DOTALL)


def test_the_page_has_its_sections():
    headings = re.findall(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == list(SECTIONS)
    assert len(blocks(SECTIONS[-1])) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("section", SECTIONS)
def test_the_examples_of_the_page_run(section, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"erasure": erasure}
    with undisturbed(0):
        for block in blocks(section):
            exec(compile(block, str(PAGE), "exec"), names)


def test_importing_erasure_imports_no_torch(python):
    code = "import sys, erasure; names = dir(erasure); "
    code += "print('torch' in sys.modules, 'hydra' in sys.modules, 'unlearn' in names)"
    process = python("-c", code)
    assert (process.stdout, process.stderr) == ("False False True\n", "")
