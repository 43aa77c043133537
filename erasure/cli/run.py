"""Run a trial or a sweep: what ``python run.py`` and ``erasure run`` have in common."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from erasure.cli.hydra import import_from_here, launch

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what ``arguments`` say and return the exit code.

    Args:
        arguments: What may follow ``python run.py``; None for what this process was started with.
    """
    if arguments is not None:
        sys.argv[1:] = arguments  # Hydra reads them there, and so do the processes it starts
    import_from_here()
    return launch(task)


def task(cfg: "DictConfig") -> Any:
    """Run the trial ``cfg`` and return its objective; torch is first imported here.

    Workers of any launcher import this function by its name, whichever command started them.
    """
    from erasure.trial.task import run

    return run(cfg)
