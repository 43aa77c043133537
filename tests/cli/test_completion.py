"""Tab completion of ``erasure``: commands by name, the rest as Hydra completes ``run.py``."""

import pytest

from erasure.__main__ import COMMANDS, main


@pytest.fixture
def asked_of_hydra(monkeypatch):
    """The lines that Hydra is to complete, and what it is called with."""
    import os

    calls = []
    monkeypatch.setattr(
        "erasure.cli.run.main", lambda words: calls.append((words, os.environ["COMP_LINE"])) or 0
    )
    return calls


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("erasure ", " ".join(COMMANDS)),
        ("erasure s", "sweep store studies"),
        ("erasure run", "run"),
        ("erasure zzz", ""),
    ],
)
def test_commands_are_completed_by_name(monkeypatch, capsys, line, completed):
    monkeypatch.setenv("COMP_LINE", line)
    assert main(["-sc", "query=bash"]) == 0
    assert capsys.readouterr().out == f"{completed}\n"


@pytest.mark.parametrize(
    ("line", "of_hydra"),
    [
        ("erasure run unlearner=sc", "erasure  unlearner=sc"),
        ("erasure sweep ", "erasure --multirun "),
        ("erasure tune a=1 ", "erasure --multirun a=1 "),
    ],
)
def test_overrides_are_completed_by_hydra(monkeypatch, asked_of_hydra, line, of_hydra):
    monkeypatch.setenv("COMP_LINE", line)
    assert main(["-sc", "query=bash"]) == 0
    assert asked_of_hydra == [(["-sc", "query=bash"], of_hydra)]


def test_other_commands_have_nothing_to_complete(monkeypatch, asked_of_hydra, capsys):
    monkeypatch.setenv("COMP_LINE", "erasure store l")
    assert main(["-sc", "query=bash"]) == 0
    assert capsys.readouterr().out == ""
    assert asked_of_hydra == []


def test_hydra_prints_what_installs_the_completion(monkeypatch, asked_of_hydra):
    monkeypatch.setenv("COMP_LINE", "")
    assert main(["-sc", "install=bash"]) == 0
    assert asked_of_hydra == [(["-sc", "install=bash"], "")]
