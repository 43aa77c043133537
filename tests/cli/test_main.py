"""``python -m erasure COMMAND``: every command is there, and what is none is refused."""

from importlib import import_module

import pytest

from erasure.__main__ import COMMANDS, main


def test_the_help_names_every_command(capsys):
    assert main([]) == main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_own_help(name, capsys):
    with pytest.raises(SystemExit) as end:
        import_module(f"erasure.cli.{name}").main(["--help"])
    assert end.value.code == 0
    assert f"python -m erasure {name}" in capsys.readouterr().out


def test_what_is_no_command_is_one_message(capsys):
    assert main(["stor", "ls"]) == 2
    assert capsys.readouterr().err.startswith("error: there is no command 'stor'; there are store")


def test_arguments_are_passed_on(tmp_path, capsys):
    assert main(["store", "ls", "--root", str(tmp_path / "none")]) == 1
    assert "there is no store at" in capsys.readouterr().out
