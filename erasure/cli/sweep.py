"""Run a sweep of trials: ``erasure sweep``, which is ``python run.py --multirun``."""

from collections.abc import Sequence

from erasure.cli.run import main as run


def main(arguments: Sequence[str]) -> int:
    """Run the sweep that ``arguments`` describe and return the exit code."""
    return run(["--multirun", *arguments])
