"""Where the YAML groups are, in a checkout, an installed package and others' packages."""

from importlib.metadata import EntryPoint
from pathlib import Path

from erasure.config import folders

CONF = Path(__file__).parents[2] / "conf"


def test_the_groups_are_those_of_the_checkout():
    assert folders.conf_folder() == CONF


def test_the_groups_of_an_installed_package_are_inside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "__file__", str(tmp_path / "erasure" / "config" / "folders.py"))
    assert folders.conf_folder() == tmp_path / "erasure" / "conf"


def test_outside_packages_are_found_by_their_entry_points(monkeypatch):
    def installed(group):
        assert group == "erasure.conf"
        return [EntryPoint("b", "b.conf", group), EntryPoint("a", "a.conf", group)]

    monkeypatch.setattr(folders, "entry_points", installed)
    assert folders.outside_configs() == ["a.conf", "b.conf"]
