"""Run one trial, or with --multirun a sweep of trials: ``python run.py --help``."""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(cfg: "DictConfig") -> Any:
    """Run the trial ``cfg`` and return its objective; torch is first imported here."""
    from erasure.trial.run import run

    return run(cfg)


if __name__ == "__main__":
    from erasure.cli.hydra import launch

    sys.exit(launch(main))
