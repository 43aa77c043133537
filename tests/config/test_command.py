"""Commands are kept and shown to others; what is secret in them is not."""

import sys

import pytest

from erasure.config.command import typed_command
from erasure.schema import without_password


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
