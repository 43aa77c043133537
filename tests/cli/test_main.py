"""``erasure COMMAND``: every command is there, and what is none is refused."""

import sys
from importlib import import_module

import pytest

from erasure.__main__ import COMMANDS, main
from erasure.cli.completion import TRIALS
from erasure.cli.tune import with_sweeper


@pytest.fixture(params=["/opt/bin/erasure", "/opt/erasure/__main__.py"])
def program(request, monkeypatch):
    """The command as it was typed: from a console script, or by ``python -m``."""
    monkeypatch.setattr(sys, "argv", [request.param])
    return "python -m erasure" if request.param.endswith(".py") else "erasure"


def test_the_help_names_every_command(capsys, program):
    assert main([]) == main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert f"usage: {program} COMMAND" in shown
    assert all(f"  {name} " in shown for name in COMMANDS)


@pytest.mark.parametrize("name", sorted({*COMMANDS} - {*TRIALS}))
def test_every_command_has_its_own_help(name, capsys, program):
    with pytest.raises(SystemExit) as end:
        import_module(f"erasure.cli.{name}").main(["--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert f"usage: {program} {name}" in shown
    assert "{" not in shown.partition("example")[2]


@pytest.mark.parametrize("name", TRIALS)
def test_the_help_of_trials_has_groups_and_commands_as_they_are_typed(name, capsys, program):
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"\n{program} run|sweep|tune [group=option ...]" in shown
    assert f"  {program} sweep unlearner=identity,retrain,finetune,scrub seed=0,1,2\n" in shown
    assert f"  {program} tune unlearner=scrub,ssd hydra.sweeper.n_trials=20\n" in shown
    assert f"  {program} why unlearner=scrub\n" in shown
    assert "run.py" not in shown


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        (["stor", "ls"], "'stor'; did you mean store? there are run, sweep, "),
        (["xyz"], "'xyz'; there are run, sweep, tune, report, why, store, studies, "),
        (["a=b", "c=[1, 2]"], "'a=b'; did you mean erasure run a=b 'c=[1, 2]'?\n"),
    ],
)
def test_what_is_no_command_is_one_message(capsys, monkeypatch, typed, hint):
    monkeypatch.setattr(sys, "argv", ["/opt/bin/erasure"])
    assert main(typed) == 2
    assert capsys.readouterr().err.startswith(f"error: there is no command {hint}")


def test_arguments_are_passed_on(tmp_path, capsys):
    assert main(["store", "ls", "--root", str(tmp_path / "none")]) == 1
    assert "there is no store at" in capsys.readouterr().out


def test_pages_are_made_in_a_checkout_only(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["docs"]) == 2
    assert "go to the top of a checkout" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "arguments"),
    [
        ("unlearner=ssd seed=0", "hydra/sweeper=optuna unlearner=ssd seed=0"),
        ("--config-dir mine ~x a=1", "--config-dir mine ~x hydra/sweeper=optuna a=1"),
        ("--cfg job", "--cfg job hydra/sweeper=optuna"),
        ("a=1 hydra/sweeper=benchmark", "a=1 hydra/sweeper=benchmark"),
    ],
)
def test_tune_chooses_optuna_where_hydra_reads_it(typed, arguments):
    assert with_sweeper(typed.split()) == arguments.split()
