"""Tell why a trial would run, or that it would be read back: ``python run.py why OVERRIDES``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from erasure.cli.hydra import import_from_here, reported
from erasure.config.command import tool_command

EXAMPLES = """examples:
  {why} unlearner=ssd unlearner.alpha=10
  {why} experiment=baselines seed=1
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0 whatever there is to tell."""
    options = _parser().parse_args(arguments)
    import_from_here()
    overrides = [*options.overrides]
    if options.config_dir is not None:
        overrides.append(f"hydra.searchpath=[file://{options.config_dir.absolute()}]")
    return reported(lambda: _tell(overrides), overrides)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=tool_command("why"),
        description="Tell why a trial would run, or that it would be read back. Nothing is run.",
        epilog=EXAMPLES.format(why=tool_command("why")),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("overrides", nargs="*", help="as for a trial")
    parser.add_argument("--config-dir", type=Path, help="a folder with groups of your own")
    return parser


def _tell(overrides: Sequence[str]) -> None:
    from erasure.api.compose import compose
    from erasure.results.store import ResultStore
    from erasure.trial.places import store_root
    from erasure.trial.why import what_would_happen

    trial = compose(*overrides)
    store = ResultStore(store_root(trial.settings))
    sys.stdout.write(f"{what_would_happen(trial, store)}\n")
