"""The command line besides ``python run.py``: ``python -m erasure COMMAND``."""

import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "store": "look after the store of trained models: ls, verify, gc",
    "studies": "look after tuning sweeps: status, recipe",
    "why": "tell why a trial would run, or that it would be read back",
    "deliver": "send results that could not be tracked when they were made",
    "docs": "make the pages of methods, metrics, data sets and models",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names and return its exit code."""
    command, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if command in ("-h", "--help"):
        sys.stdout.write(_help())
        return 0
    if command not in COMMANDS:
        names = ", ".join(COMMANDS)
        sys.stderr.write(f"error: there is no command {command!r}; there are {names}\n")
        return 2
    return int(import_module(f"erasure.cli.{command}").main(rest))


def _help() -> str:
    lines = [f"  {name:<12}{what}" for name, what in COMMANDS.items()]
    return "\n".join(["usage: python -m erasure COMMAND [--help]", "", *lines, ""])


if __name__ == "__main__":
    sys.exit(main())
