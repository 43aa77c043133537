"""Public names: found in the text of the modules, imported when asked for."""

import ast
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

import erasure
from erasure.core.lazy import lazy_names

ROOT = Path(__file__).parents[2]
ROOMS = ("datasets", "evaluation", "metrics", "models", "results", "splits", "training", "trial")


def targets():
    """Return every ``_target_`` of ours in the YAML files."""
    texts = (path.read_text(encoding="utf-8") for path in (ROOT / "conf").rglob("*.yaml"))
    return {name for text in texts for name in re.findall(r"_target_: (erasure\.[\w.]+)", text)}


def test_every_target_is_a_short_public_name_that_leads_somewhere():
    assert len(targets()) > 140
    for target in targets():
        room, _, name = target.rpartition(".")
        assert room.count(".") == 1, target
        assert callable(getattr(import_module(room), name))


def test_the_names_that_scripts_rely_on():
    assert erasure.unlearners.Scrub.__name__ == "Scrub"
    assert erasure.metrics.Accuracy.__module__ == "erasure.metrics.utility.accuracy"
    assert erasure.splits.ClassForget.__name__ == "ClassForget"
    assert erasure.models.MLP.__name__ == "MLP"
    assert "Scrub" in dir(erasure.unlearners)
    assert "metrics" in dir(erasure)


@pytest.mark.parametrize("room", ["unlearners", *ROOMS])
def test_no_two_modules_of_a_room_offer_one_class(room):
    module = import_module(f"erasure.{room}")
    for name in dir(module):
        if name[0].isupper():
            getattr(module, name)


def test_what_nobody_defines_is_told_as_python_tells_it():
    with pytest.raises(AttributeError, match=r"erasure\.unlearners offers no 'Shrug': no module"):
        erasure.unlearners.Shrug  # noqa: B018  # looking is the point
    with pytest.raises(AttributeError, match="has no attribute 'unlearner'"):
        erasure.unlearner  # noqa: B018


def test_a_name_of_two_modules_is_refused_and_listing_imports_nothing(tmp_path, monkeypatch):
    folder = tmp_path / "rooms_of_a_test"
    folder.mkdir()
    for name in ("first", "second"):
        (folder / f"{name}.py").write_text("class Twice:\n    pass\n")
    (folder / "third.py").write_text("class Once:\n    pass\n")
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    get, names = lazy_names("rooms_of_a_test", str(folder))
    assert names() == ["Once", "Twice"]
    assert "rooms_of_a_test.third" not in sys.modules
    assert get("Once").__module__ == "rooms_of_a_test.third"
    with pytest.raises(AttributeError, match=r"first, rooms_of_a_test\.second all"):
        get("Twice")


def test_no_class_name_is_defined_twice():
    owners = {}
    for package in ("erasure", "hydra_plugins", "multirun_analysis"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef):
                    owners.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in owners.items() if len(paths) > 1} == {}


def test_every_folder_says_in_a_line_what_belongs_in_it():
    for package in ("erasure", "hydra_plugins", "multirun_analysis"):
        for path in (ROOT / package).rglob("*.py"):
            opening = path.parent / "__init__.py"
            if path.parent == ROOT / "hydra_plugins":
                continue  # a namespace package, in which Hydra looks for plugins
            first = opening.read_text(encoding="utf-8").splitlines()[0]
            assert re.fullmatch(r'""".+\.(""")?', first), path.parent
