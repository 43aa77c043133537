"""Methods that live outside the repository."""

import os
import subprocess
import sys

import pytest
from patience import HANGS
from running import ROOT, results

pytestmark = pytest.mark.slow


QUICK = ("tracking=none", "pictures=false")

METHOD = """
from dataclasses import dataclass

import torch



@dataclass(frozen=True, kw_only=True)
class Shrink:
    factor: float = 0.9

    def __call__(self, task):
        with torch.no_grad():
            for weight in task.model.parameters():
                weight.mul_(self.factor)
        return task.model
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """An installed package, as its files lie in site-packages."""
    site = tmp_path_factory.mktemp("site")
    options = site / "shrinking" / "conf" / "unlearner"
    options.mkdir(parents=True)
    (site / "shrinking" / "__init__.py").write_text(METHOD)
    (site / "shrinking" / "conf" / "__init__.py").write_text("")
    text = "# Shrink every weight\n_target_: shrinking.Shrink\nfactor: 0.9\n"
    (options / "wither.yaml").write_text(text)
    facts = site / "shrinking-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: shrinking\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[erasure.conf]\nshrinking = shrinking.conf\n")
    return site


@pytest.fixture(scope="module")
def run(package, environment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("outside")

    def run(*arguments, installed=True):
        path = os.pathsep.join([str(package), str(ROOT)])
        hidden = (package / "shrinking-1.0.dist-info", package / "hidden")
        if not installed:
            hidden[0].rename(hidden[1])
        try:
            return folder, subprocess.run(
                [sys.executable, str(ROOT / "run.py"), *arguments, *QUICK],
                cwd=folder,
                env={**environment, "PYTHONPATH": path},
                capture_output=True,
                text=True,
                timeout=HANGS,
                check=False,
            )
        finally:
            if not installed:
                hidden[1].rename(hidden[0])

    return run


def test_an_installed_package_names_its_options_itself(run):
    folder, done = run("unlearner=wither", "unlearner.factor=0.5")
    assert done.returncode == 0, done.stderr
    names = [r["trial"]["name"] for r in results(folder)]
    assert "wither · digits_noisy · mlp · seed 0" in names


def test_its_options_are_on_the_help_screen(run):
    _, done = run("--help")
    assert "Shrink every weight" in done.stdout


def test_a_package_can_be_named_on_the_command_line(run):
    _, done = run("hydra.searchpath=[pkg://shrinking.conf]", "unlearner=wither", installed=False)
    assert done.returncode == 0, done.stderr


def test_a_folder_can_be_named_on_the_command_line(run, package):
    folder = str(package / "shrinking" / "conf")
    _, done = run("--config-dir", folder, "unlearner=wither", installed=False)
    assert done.returncode == 0, done.stderr


def test_a_class_needs_no_yaml_file(run, package):
    custom = ("unlearner=custom", "unlearner._target_=shrinking.Shrink", "+unlearner.factor=0.3")
    folder, done = run(*custom, installed=False)
    assert done.returncode == 0, done.stderr
    before = len(results(folder))
    module = package / "shrinking" / "__init__.py"
    _, again = run(*custom, installed=False)
    assert "finished before" in again.stdout
    module.write_text(METHOD + "\n# a comment\n")
    _, mended = run(*custom, installed=False)
    assert "finished before" in mended.stdout
    module.write_text(METHOD + "\nEDITED = True\n")
    _, edited = run(*custom, installed=False)
    assert "runs again: shrinking/__init__.py changed" in edited.stdout
    assert edited.returncode == 0
    assert "finished before" not in edited.stdout
    assert len(results(folder)) == before + 1
