"""Run one trial, with --multirun a sweep of trials, or tell why one runs: see ``--help``."""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(cfg: "DictConfig") -> Any:
    """Run the trial ``cfg`` and return its objective; torch is first imported here."""
    from erasure.trial.task import run

    return run(cfg)


if __name__ == "__main__":
    if sys.argv[1:2] == ["why"]:
        from erasure.cli.why import main as why

        sys.exit(why(sys.argv[2:]))
    from erasure.cli.hydra import launch

    sys.exit(launch(main))
