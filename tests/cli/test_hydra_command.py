"""The command line: help without anything heavy, and packages from outside."""

import copy
import sys
from pathlib import Path

import pytest

from erasure.cli import hydra as plugins
from erasure.cli.help import GROUPS, show_help

CONF = Path(__file__).parents[2] / "conf"
HEAVY = ("torch", "hydra", "omegaconf", "mlflow", "numpy", "pandas", "sklearn", "matplotlib")
CHECK = f"""
import sys
{{}}
print(sorted(name for name in {HEAVY} if name in sys.modules))
"""


@pytest.mark.parametrize(
    "module", ["erasure", "erasure.cli.help", "erasure.cli.hydra", "erasure.core"]
)
def test_nothing_heavy_is_imported_by(python, module):
    process = python("-c", CHECK.format(f"import {module}"))
    assert (process.stdout, process.stderr) == ("[]\n", "")


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_imports_nothing_heavy_and_succeeds(python, option):
    code = f"""
sys.argv = ["run.py", {option!r}]
import runpy
try:
    runpy.run_path("run.py", run_name="__main__")
except SystemExit as exit:
    print("exit", exit.code)
"""
    lines = python("-c", CHECK.format(code)).stdout.splitlines()
    assert lines[-2:] == ["exit 0", "[]"]
    assert (
        "python run.py --multirun unlearner=identity,retrain,finetune,scrub seed=0,1,2"
        in "\n".join(lines)
    )


def test_the_plugins_of_hydra_import_nothing_heavy(python):
    code = "import hydra_plugins.erasure_launcher.local, hydra_plugins.erasure_sweeper.sweeper"
    process = python("-c", CHECK.format(code)).stdout
    assert "torch" not in process
    assert "mlflow" not in process


@pytest.fixture
def shown(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")

    def screen(*outside):
        show_help(CONF, outside)
        return capsys.readouterr().out

    return screen


def test_help_shows_every_option_with_what_it_is(shown):
    screen = shown()
    for group, meaning in GROUPS:
        assert f"{group}  {meaning}" in screen
        for path in (CONF / group).glob("[!_]*.yaml"):
            row = next(line for line in screen.splitlines() if line.startswith(f"  {path.stem} "))
            assert len(row.split(maxsplit=1)[1]) > 15


def test_examples_are_whole_lines_that_can_be_copied(shown):
    lines = shown().splitlines()
    assert (
        "  python run.py unlearner=neggrad_plus unlearner.alpha=0.9 unlearner.fit.epochs=3"
        in lines
    )
    assert all(not line.startswith("unlearner.fit") for line in lines)


@pytest.mark.slow
def test_examples_that_help_shows_compose(shown, compose_config):
    commands = [line.split()[2:] for line in shown().splitlines() if "python run.py unl" in line]
    commands += [
        line.split()[2:] for line in shown().splitlines() if "python run.py split" in line
    ]
    assert len(commands) == 4
    for overrides in commands:
        assert compose_config(*overrides).seed == 0


def test_help_shows_options_of_outside_packages(shown, tmp_path, monkeypatch):
    package = tmp_path / "outside_conf_of_help"
    (package / "unlearner").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "unlearner" / "wither.yaml").write_text("# Shrink all weights\n_target_: x.Y\n")
    (package / "unlearner" / "_base.yaml").write_text("# hidden\n")
    monkeypatch.syspath_prepend(tmp_path)
    screen = shown("outside_conf_of_help", "not_installed_at_all")
    row = next(line for line in screen.splitlines() if line.startswith("  wither "))
    assert row.split(maxsplit=1)[1].strip() == "Shrink all weights"
    assert "_base" not in screen


def launch(monkeypatch, *arguments, task):
    monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
    return plugins.launch(task)


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    """Hydra writes its logs below the working folder; keep that, and its state, to the test."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.plugins import Plugins
    from hydra.core.singleton import Singleton

    monkeypatch.chdir(tmp_path)
    state = Singleton.get_state()
    plugins_before = copy.deepcopy(vars(Plugins.instance()))
    yield tmp_path
    GlobalHydra.instance().clear()
    Singleton.set_state(state)
    vars(Plugins.instance()).update(plugins_before)


def test_the_task_gets_the_composed_configuration(in_folder, monkeypatch):
    seen = []
    code = launch(monkeypatch, "seed=5", "unlearner=retrain", task=seen.append)
    assert code == 0
    assert seen[0].seeds.train == 5
    assert seen[0].unlearner._target_ == "erasure.unlearners.Retrain"


def test_an_error_a_user_can_mend_is_one_line_and_exit_code_one(in_folder, monkeypatch, capfd):
    from erasure.core.errors import ConfigError

    def fail(cfg):
        raise ConfigError("split.fraction must be in (0, 1), got [2]")

    assert launch(monkeypatch, task=fail) == 1
    captured = capfd.readouterr()
    assert captured.err == "error  split.fraction must be in (0, 1), got [2]\n"
    assert captured.out == ""


def test_an_unknown_option_is_exit_code_one_and_no_task_runs(in_folder, monkeypatch, capfd):
    assert launch(monkeypatch, "unlearner=negrad", task=pytest.fail) == 1
    assert "did you mean neggrad_plus?" in capfd.readouterr().err


def test_an_interrupt_is_exit_code_130(in_folder, monkeypatch, capfd):
    def interrupt(cfg):
        raise KeyboardInterrupt

    assert launch(monkeypatch, task=interrupt) == 130
    assert "continues where it stopped" in capfd.readouterr().err


def test_a_bug_keeps_its_traceback(in_folder, monkeypatch, capfd):
    def fail(cfg):
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        launch(monkeypatch, task=fail)


def test_an_outside_option_is_found_by_its_entry_point(in_folder, monkeypatch):
    package = in_folder / "outside_conf_of_launch"
    (package / "unlearner").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "unlearner" / "wither.yaml").write_text("_target_: outside.Shrink\nfactor: 0.5\n")
    monkeypatch.syspath_prepend(in_folder)
    monkeypatch.setattr(plugins, "outside_configs", lambda: ["outside_conf_of_launch"])
    seen = []
    assert launch(monkeypatch, "unlearner=wither", "unlearner.factor=0.3", task=seen.append) == 0
    assert seen[0].unlearner == {"_target_": "outside.Shrink", "factor": 0.3}
