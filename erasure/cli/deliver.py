"""Send results that could not be tracked when they were made."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from erasure.config.command import tool_command
from erasure.core.errors import ConfigError
from erasure.results.delivery import Replayed, replay
from erasure.results.mlflow.tracker import MLflowTracker
from erasure.results.store import ResultStore

EXAMPLE = """\
example:
  {deliver} replay --store store --uri sqlite:///mlruns/mlflow.db

exit codes:
  0  every result is tracked    1  some could not be sent    2  a setting is wrong
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = _parser().parse_args(arguments)
    out = Console(soft_wrap=True, highlight=False)
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        tracker, done = _replay(options.store, options.uri, options.experiment)
    except ConfigError as error:
        errors.print(f"error: --{error}", markup=False)
        return 2
    out.print(_report(done), markup=False)
    if done.kept:
        return 1
    out.print(f"{tracker.address()}\n{tracker.page()}", markup=False)
    return 0


def _parser() -> argparse.ArgumentParser:
    shape = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(prog=tool_command("deliver"), description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    replay_parser = commands.add_parser(
        "replay",
        help="send what the store holds and no run does",
        description="Send every result of a store that no tracking run holds yet.",
        epilog=EXAMPLE.format(deliver=tool_command("deliver")),
        formatter_class=shape,
    )
    replay_parser.add_argument(
        "--store", type=Path, required=True, help="the folder that store.root names"
    )
    replay_parser.add_argument("--uri", required=True, help="the tracking.uri to send to")
    replay_parser.add_argument(
        "--experiment", default="erasure", help="name (default: %(default)s)"
    )
    return top


def _replay(store: Path, uri: str, experiment: str) -> tuple[MLflowTracker, Replayed]:
    if not store.is_dir():
        raise ConfigError(f"store must be an existing folder, got '{store}'")
    tracker = MLflowTracker(uri=uri, experiment=experiment)
    tracker.check()
    return tracker, replay(tracker, ResultStore(store))


def _report(done: Replayed) -> str:
    if done == Replayed(sent=0, kept=0, busy=0):
        return "nothing to send: every result is tracked"
    parts = [f"{done.sent} sent"]
    if done.kept:
        parts.append(f"{done.kept} kept for later")
    if done.busy:
        parts.append(f"{done.busy} left to the process that runs the trial")
    return ", ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
