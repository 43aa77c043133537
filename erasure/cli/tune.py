"""Search the settings of methods: ``erasure tune``, short for a sweep of Optuna."""

from collections.abc import Sequence

from erasure.cli.sweep import main as sweep
from erasure.schema import TUNES


def main(arguments: Sequence[str]) -> int:
    """Run the search that ``arguments`` describe and return the exit code.

    An option of ``hydra/sweeper`` among them wins.
    """
    return sweep(with_sweeper(arguments))


def with_sweeper(arguments: Sequence[str]) -> list[str]:
    """Return ``arguments`` with the choice of Optuna before the first override.

    Not at either end: Hydra reads overrides only where no option comes between two of them.
    """
    if any(word.startswith("hydra/sweeper=") for word in arguments):
        return [*arguments]
    overrides = [n for n, word in enumerate(arguments) if "=" in word and not word.startswith("-")]
    first = overrides[0] if overrides else len(arguments)
    return [*arguments[:first], TUNES, *arguments[first:]]
