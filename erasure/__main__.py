"""The command line: ``erasure COMMAND``, or ``python -m erasure COMMAND``."""

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module

from erasure.config.command import tool_command

COMMANDS = {
    "run": "run one trial: what python run.py does",
    "sweep": "run a sweep of trials: run --multirun",
    "tune": "search the settings of methods: sweep hydra/sweeper=optuna",
    "report": "from tracked trials to tables, comparisons and a web page",
    "why": "tell why a trial would run, or that it would be read back",
    "store": "look after the store of trained models: ls, verify, gc",
    "studies": "look after tuning sweeps: status, recipe",
    "deliver": "send results that could not be tracked when they were made",
    "docs": "make the pages of methods, metrics, data sets and models",
}
COMPLETION = ("-sc", "--shell-completion")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names and return its exit code."""
    command, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if command in ("-h", "--help"):
        sys.stdout.write(_help())
        return 0
    if command in COMPLETION:
        from erasure.cli.completion import complete

        return complete(rest, COMMANDS)
    if command not in COMMANDS:
        sys.stderr.write(f"error: there is no command {command!r}; {_hint([command, *rest])}\n")
        return 2
    return int(import_module(f"erasure.cli.{command}").main(rest))


def _hint(arguments: Sequence[str]) -> str:
    if "=" in arguments[0]:
        return f"did you mean {tool_command('run', *arguments)}?"
    close = get_close_matches(arguments[0], COMMANDS, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{hint}there are {', '.join(COMMANDS)}"


def _help() -> str:
    program = tool_command()
    lines = [f"  {name:<12}{what}" for name, what in COMMANDS.items()]
    completion = f'tab completion, in bash: eval "$({program} -sc install=bash)"'
    return "\n".join([f"usage: {program} COMMAND [--help]", "", *lines, "", completion, ""])


if __name__ == "__main__":
    sys.exit(main())
