"""The command that was typed, as it may be shown and kept."""

import re
import shlex
import sys


def typed_command() -> str:
    """Return the command line, ready to paste, with passwords in addresses taken out."""
    return without_password(shlex.join(["python", *sys.argv]))


def without_password(text: str) -> str:
    """Return a text in which no address gives its password away."""
    return re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", text)
