"""The command that was typed, as it may be shown and kept."""

import shlex
import sys

from erasure.schema import without_password


def typed_command() -> str:
    """Return the command line, ready to paste, with passwords in addresses taken out."""
    return without_password(shlex.join(["python", *sys.argv]))
