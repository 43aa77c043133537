"""Commands are kept and shown to others; what is secret in them is not."""

import sys

import pytest

from erasure.config.command import run_command, tool_command, typed_command
from erasure.schema import single_run_words, without_password


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:se:cret@host/db", "postgresql://me:***@host/db"),
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
        ("https://host:5000/x", "https://host:5000/x"),
        ("a=http://u:p@h b=http://v:q@i", "a=http://u:***@h b=http://v:***@i"),
    ],
)
def test_passwords_are_taken_out_and_nothing_else(text, shown):
    assert without_password(text) == shown


def test_the_command_can_be_pasted(monkeypatch):
    typed = ["run.py", "-m", "hydra.sweeper.storage=postgresql://me:secret@host/db", "x=[1, 2]"]
    monkeypatch.setattr(sys, "argv", typed)
    shown = typed_command()
    assert "secret" not in shown
    assert shown.startswith("python run.py -m ")
    assert shown.endswith(" 'x=[1, 2]'")


@pytest.mark.parametrize(
    ("program", "arguments", "shown"),
    [
        ("run.py", "-m a=1,2", "python run.py -m a=1,2"),
        ("../mine.py", "a=1", "python ../mine.py a=1"),
        ("/opt/pytest/__main__.py", "a=1", "python run.py a=1"),
        ("/opt/bin/erasure", "a=1", "erasure run a=1"),
        ("/opt/bin/erasure", "-m a=1,2", "erasure sweep a=1,2"),
        ("/opt/bin/erasure", "--config-dir x -m a=1", "erasure sweep --config-dir x a=1"),
        ("/opt/bin/erasure", "--multirun hydra/sweeper=optuna a=1", "erasure tune a=1"),
        ("/opt/bin/erasure", "hydra/sweeper=optuna a=1", "erasure run hydra/sweeper=optuna a=1"),
        ("/opt/bin/erasure", "why a=1", "erasure why a=1"),
        ("/opt/erasure/__main__.py", "-m a=1,2", "python -m erasure sweep a=1,2"),
    ],
)
def test_commands_are_spelled_as_the_program_was_started(monkeypatch, program, arguments, shown):
    monkeypatch.setattr(sys, "argv", [program, *arguments.split()])
    assert run_command(*arguments.split()) == typed_command() == shown


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        ("run.py", "python -m erasure store ls"),
        ("/opt/bin/erasure", "erasure store ls"),
        ("/opt/erasure/__main__.py", "python -m erasure store ls"),
    ],
)
def test_tools_are_where_the_program_is(monkeypatch, program, shown):
    monkeypatch.setattr(sys, "argv", [program])
    assert tool_command("store", "ls") == shown


@pytest.mark.parametrize(
    ("sweep", "single"),
    [
        ("python run.py -m a=1", "python run.py a=1"),
        ("python run.py --multirun --config-dir x a=1", "python run.py --config-dir x a=1"),
        ("erasure sweep a=1", "erasure run a=1"),
        ("erasure tune a=1", "erasure run a=1"),
        ("python -m erasure sweep a=1", "python -m erasure run a=1"),
    ],
)
def test_the_command_of_a_sweep_becomes_that_of_a_trial(sweep, single):
    assert single_run_words(sweep.split()) == single.split()
