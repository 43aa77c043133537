"""From tracked trials to results: what ``python -m multirun_analysis`` does, under one roof."""

from collections.abc import Sequence

from erasure.config.command import tool_command
from multirun_analysis.cli import main as analyse


def main(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; without arguments the last leaderboard."""
    return analyse(arguments, tool_command("report"))
