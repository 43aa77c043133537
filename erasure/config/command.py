"""Commands that are shown and kept: the one that was typed, and those that go on from it.

They are spelled as the user started the program, ``python run.py -m ...`` or
``erasure sweep ...``, so that each can be pasted where it is read.
"""

import shlex
import sys

from erasure.schema import tool_words, trial_words, without_password


def typed_command() -> str:
    """Return the command line, ready to paste, with passwords in addresses taken out."""
    return without_password(run_command(*sys.argv[1:]))


def run_command(*arguments: str) -> str:
    """Return the command with ``arguments`` of ``run.py``, ready to paste."""
    return shlex.join(trial_words(arguments))


def tool_command(*arguments: str) -> str:
    """Return the command of a tool, such as ``store ls``, ready to paste."""
    return shlex.join(tool_words(*arguments))
