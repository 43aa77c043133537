"""Tune a method on a task and write a recipe: ``python -m erasure.tune unlearner=scrub``."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from erasure.core.errors import ConfigError, ErasureError
from erasure.core.trial import TrialResult
from erasure.experiment import run_trial
from erasure.plugins import conf_folder, reported
from erasure.sweep.bench import Bench
from erasure.sweep.describe import describe
from erasure.sweep.schema import register_schema
from erasure.sweep.tuning import Tuning
from erasure.tracking.provenance import git_tags

EXAMPLES = """examples:
  python -m erasure.tune unlearner=scrub
  python -m erasure.tune unlearner=ssd dataset=digits model=cnn trainer=one_cycle --trials 40
  python run.py recipe=digits_noisy/mlp/random/scrub seed=10      uses what was found

The search looks at validation data and at seeds of its own, never at the test set. Every trial
is kept like any other, so a search that was stopped goes on where it was.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    options, overrides = _parser().parse_known_args(arguments)
    return reported(lambda: _tune(options, overrides), overrides)


def _tune(options: argparse.Namespace, overrides: Sequence[str]) -> None:
    register_schema()
    console = Console()
    seeds = _seeds(options.seeds)
    folders = [conf_folder()]
    tuning = Tuning(overrides=overrides, trials=options.trials, seeds=seeds, folders=folders)
    recipe = replace(tuning.search(_carry_out, console), commit=_commit())
    if not recipe.score < float("inf"):
        raise ErasureError("no setting of the search finished a trial on all seeds")
    path = recipe.write(options.output or conf_folder())
    console.print(f"\nwritten to {path}\npython run.py recipe={recipe.name}", soft_wrap=True)


def _carry_out(cfg: DictConfig) -> TrialResult:
    torch.set_num_threads(cfg.threads)
    choices = {str(group): str(option) for group, option in cfg.hydra.runtime.choices.items()}
    plain = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    bench = Bench.of(plain, describe(plain, choices), Console(quiet=True))
    return bench.result(run_trial)


def _seeds(text: str) -> list[int]:
    try:
        return [int(seed) for seed in text.split(",")]
    except ValueError as error:
        message = f"--seeds must be whole numbers with commas between, got {text!r}"
        raise ConfigError(message) from error


def _commit() -> str:
    tags = git_tags(Path(__file__).parent)
    changed = " with changes" if tags.get("erasure.dirty") == "true" else ""
    return tags.get("mlflow.source.git.commit", "")[:12] + changed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m erasure.tune",
        usage="%(prog)s [group=option ...] [--trials N] [--seeds 100,101] [--output FOLDER]",
        description="Search the settings of a method and write the best as a recipe.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--trials", type=int, default=20, help="settings to try (20)")
    parser.add_argument("--seeds", default="100,101", help="seeds of each setting (100,101)")
    parser.add_argument("--output", type=Path, help="folder of YAML groups (the one in use)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
