"""Tab completion of ``erasure``: Hydra's for what follows run, sweep and tune."""

import os
import sys
from collections.abc import Iterable, Sequence

TRIALS = {"run": "", "sweep": "--multirun", "tune": "--multirun"}
"""Commands whose arguments Hydra completes, and what stands for them on its own line."""


def complete(arguments: Sequence[str], commands: Iterable[str]) -> int:
    """Answer a shell, which asks in ``COMP_LINE``, or print what installs the completion.

    Args:
        arguments: What follows ``-sc``, such as ``install=bash``.
        commands: Names of the commands.
    """
    from erasure.cli.run import main as run

    if arguments and arguments[0].startswith("query="):
        program, command, rest = _split(os.environ.get("COMP_LINE", ""))
        if rest is None:
            matches = [name for name in commands if name.startswith(command)]
            sys.stdout.write(" ".join(matches) + "\n")
            return 0
        if command not in TRIALS:
            return 0
        # Hydra knows no commands: the line it answers is that of run.py
        os.environ["COMP_LINE"] = f"{program} {TRIALS[command]} {rest.lstrip()}"
    return run(["-sc", *arguments])


def _split(line: str) -> tuple[str, str, str | None]:
    """Return program, command and what follows it, None while the command is being typed."""
    program, _, typed = line.lstrip().partition(" ")
    command, blank, rest = typed.lstrip().partition(" ")
    return program, command, rest if blank else None
