"""Syntax without documentation, and the modules that code leads to."""

import functools

import pytest

from erasure.core.source import Modules, own_hash, source_hash
from erasure.core.syntax import syntax_of
from erasure.training.fit import Loop, set_mode

PLAIN = """
import os
RATE = 1
def double(x: int) -> int:
    return 2 * x
class Method:
    rate = 0.5
"""


@pytest.mark.parametrize(
    "text",
    [
        '"""A module."""\n' + PLAIN,
        PLAIN.replace("RATE = 1", 'RATE = 1  # one\n"""What it is."""\n'),
        PLAIN.replace("    return", '    """Double it."""\n\n    # simply\n    return'),
        PLAIN.replace("    rate", "    'A method: fine.'\n    rate"),
        PLAIN.replace("2 * x", "(2\n  *  x)"),
        PLAIN.replace("0.5", "0.50"),
    ],
)
def test_layout_and_documentation_are_not_in_the_digest(text):
    assert syntax_of(text).digest == syntax_of(PLAIN).digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2 * x", "3 * x"),
        ("2 * x", "x * 2"),
        ("2 * x", "2.0 * x"),
        ("2 * x", "True * x"),
        ("x: int", "x: float"),
        ("x: int", "x: int = 1"),
        ("RATE = 1", "RATE = None"),
        ("RATE = 1", "RATE: int = 1"),
        ("import os", "import os as o"),
        ("rate = 0.5", "rate = '0.5'"),
        ("return 2 * x", "yield 2 * x"),
        ("class Method:", "class Method(dict):"),
        ("def double", "@staticmethod\ndef double"),
        ("return 2 * x", "return 'a text that is returned'"),
    ],
)
def test_every_change_of_meaning_is_in_the_digest(old, new):
    assert syntax_of(PLAIN.replace(old, new)).digest != syntax_of(PLAIN).digest


def test_a_text_that_is_no_python_is_told_by_itself():
    assert syntax_of("class (").digest != syntax_of("class )").digest
    assert syntax_of("class (").references == frozenset()


@pytest.fixture
def tree(tmp_path):
    """A package named as ours, of the given files."""

    def grown(inside=None, /, **files):
        for name, text in {**files, **(inside or {})}.items():
            path = tmp_path / "erasure" / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for folder in [path for path in tmp_path.rglob("*") if path.is_dir()]:
            (folder / "__init__.py").touch()
        return Modules(tmp_path)

    return grown


def reached(modules, name="erasure.a"):
    return [module.removeprefix("erasure.") for module in modules.code([name]).modules]


@pytest.mark.parametrize(
    "text",
    [
        "from erasure.b import thing",
        "from erasure import b",
        "import erasure.b",
        "import erasure.b as other",
        "from .b import thing",
        "from . import b",
        "def f():\n    from erasure.b import thing",
        "class C:\n    def f(self):\n        if 1:\n            import erasure.b",
        "import importlib\nimportlib.import_module('erasure.b')",
    ],
)
def test_an_import_is_followed_however_it_is_written(tree, text):
    modules = tree(a=text, b="from erasure import c", c="", d="from erasure import a")
    assert {"a", "b", "c"} == set(reached(modules)) - {"__init__", "erasure"}


def test_what_only_a_type_checker_imports_is_left_out(tree):
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from erasure import b\n"
    assert reached(tree(a=text, b="", c="")) == ["a"]
    assert reached(tree(a=text + "else:\n    from erasure import c\n", b="", c="")) == ["a", "c"]


def test_a_package_leads_to_the_module_that_defines_a_name(tree):
    lazy = "from erasure.core.lazy import lazy_names\nget, names = lazy_names('erasure.p')\n"
    files = {"p/x": "class X: pass", "p/y": "class Y: pass", "p/__init__": lazy}
    modules = tree(files, a="from erasure.p import X")
    assert reached(modules) == ["a", "p.x"]
    used = tree(files, a="import erasure\nprint(erasure.p.Y())")
    assert "p.y" in reached(used)
    assert "p.x" not in reached(used)


def test_a_package_that_imports_a_name_leads_on_and_does_not_count_itself(tree):
    files = {"p/x": "class X: pass", "p/y": "", "p/__init__": "from .x import X\nimport os"}
    assert reached(tree(files, a="from erasure.p import X")) == ["a", "p.x"]
    star = {**files, "p/__init__": "from .x import *\nfrom .y import Y"}
    assert reached(tree(star, a="from erasure.p import X")) == ["a", "p", "p.x", "p.y"]


def test_packages_that_refer_to_each_other_come_to_an_end(tree):
    files = {"p/__init__": "from erasure.q import X", "q/__init__": "from erasure.p import X"}
    assert reached(tree(files, a="from erasure.p import X")) == ["a"]


def test_libraries_count_where_they_are_imported(tree):
    text = (
        "import scipy.stats as s\nimport rich\nimport json\nfrom sklearn import svm\nimport nope"
    )
    modules = tree(a=text, b="")
    assert set(modules.code(["erasure.a"]).libraries) == {"numpy", "scipy", "sklearn", "torch"}
    assert set(modules.code(["erasure.b"]).libraries) == {"numpy", "torch"}


def test_imports_are_not_followed_into_what_is_cut_off(tree):
    modules = tree(a="from erasure import b, c", b="", c="from erasure import d", d="")
    assert list(modules.code(["erasure.a"], ["erasure.c"]).modules) == ["erasure.a", "erasure.b"]
    named = modules.code(["erasure.a", "erasure.c"], ["erasure.c"])
    assert "erasure.d" in named.modules


def test_a_function_a_class_an_object_and_a_partial_have_the_code_of_their_module():
    first = source_hash(Loop)
    assert source_hash(set_mode) == source_hash(functools.partial(set_mode)) == first
    assert source_hash(functools.partial(functools.partial(set_mode), mode="train")) == first
    assert source_hash(object.__new__(Loop)) == first
    assert source_hash(syntax_of) != first
    assert own_hash("erasure.training.fit") != own_hash("erasure.training.passes")
    assert own_hash("erasure.nowhere") == ""
