"""Look after tuning sweeps: ``python -m erasure studies status|recipe``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from erasure.cli.hydra import reported
from erasure.config.command import run_command, tool_command
from erasure.config.folders import conf_folder, in_checkout
from erasure.core.errors import ConfigError
from erasure.schema import TUNES
from erasure.sweeps.progress import plain_console
from erasure.sweeps.summary import format_number
from erasure.tuning.recipe import KeptStudy, kept_studies

EXAMPLES = """search on validation data, list the studies, write the best, use it:
  {search}
  {studies} status
  {studies} recipe --study scrub-digits_noisy-mlp-random-1f3c09aa
  {use}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    options = _parser().parse_args(arguments)
    commands = {"status": _status, "recipe": _recipe}
    return reported(lambda: commands[options.command](options), sys.argv[1:])


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--store", type=Path, default=Path("store"), help="the store (store)")
    shared.add_argument("--storage", help="hydra.sweeper.storage, if the sweep had one")
    parser = argparse.ArgumentParser(
        prog=tool_command("studies"),
        description="Look after the studies of tuning sweeps.",
        epilog=_examples(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("status", parents=[shared], help="list the studies")
    recipe = commands.add_parser(
        "recipe", parents=[shared], help="write the best settings as conf/recipe/<...>.yaml"
    )
    which = recipe.add_mutually_exclusive_group(required=True)
    which.add_argument("--study", help="name of a study")
    which.add_argument("--sweep", help="id of a sweep, or its beginning: all of its studies")
    recipe.add_argument("--output", type=Path, help="folder of YAML groups (conf)")
    return parser


def _examples() -> str:
    return EXAMPLES.format(
        search=run_command("-m", TUNES, "unlearner=scrub,ssd"),
        studies=tool_command("studies"),
        use=run_command("-m", "recipe=digits_noisy/mlp/random/scrub", "seed=10,11,12"),
    )


def _status(options: argparse.Namespace) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    names = ("study", "trials", "complete", "pruned", "failed", "running", "best", "sweep")
    for name in names:
        table.add_column(
            name, justify="left" if name in ("study", "sweep") else "right", no_wrap=True
        )
    for study in kept_studies(options.store, options.storage):
        best, counts = study.best, study.counts
        table.add_row(
            study.name,
            f"{len(study.trials)} of {study.search_settings['n_trials']}",
            *(str(counts[state]) for state in ("complete", "pruned", "fail", "running")),
            "/".join(format_number(value) for value in best.values) if best else "–",
            str(study.search_settings["sweep"])[:8],
        )
    plain_console().print(table)


def _recipe(options: argparse.Namespace) -> None:
    studies = kept_studies(options.store, options.storage)
    recipes = [s.recipe() for s in _select_studies(studies, options.study, options.sweep)]
    names = [recipe.name for recipe in recipes]
    if len(set(names)) < len(names):
        raise ConfigError(
            "--sweep has several studies of one method and task, whose recipes would have one "
            "name; choose with --study"
        )
    console = Console(soft_wrap=True)
    # the groups of an installed package are not to be written to
    output = options.output or (conf_folder() if in_checkout() else Path("conf"))
    for recipe in recipes:
        path = recipe.write(output)
        console.print(f"written to {path}", markup=False)
    elsewhere = output.resolve() != conf_folder().resolve()
    folder = ["--config-dir", str(output)] if elsewhere else []
    console.print("\nconfirm on other seeds and the test set:")
    for recipe in recipes:
        command = run_command(*folder, "-m", f"recipe={recipe.name}", "seed=10,11,12")
        console.print(f"  {command}", markup=False)
        shipped = conf_folder() / "recipe" / f"{recipe.name}.yaml"
        if elsewhere and shipped.is_file():
            console.print(f"  but {shipped} has the same name and comes first", markup=False)


def _select_studies(
    studies: list[KeptStudy], study: str | None, sweep: str | None
) -> list[KeptStudy]:
    """Return the study of a name, or those of a sweep by the beginning of its id.

    Raises:
        ConfigError: If there is none.
    """
    names = ", ".join(kept.name for kept in studies) or "none"
    if study is not None:
        selected = [kept for kept in studies if kept.name == study]
        if not selected:
            raise ConfigError(f"--study={study} does not exist; there are: {names}")
        return selected
    begin = sweep or "?"  # no fingerprint begins with a question mark
    selected = [s for s in studies if str(s.search_settings["sweep"]).startswith(begin)]
    if not selected:
        raise ConfigError(f"--sweep={sweep} has no studies here; there are: {names}")
    return selected


if __name__ == "__main__":
    sys.exit(main())
