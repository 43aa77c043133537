"""The help screen, read off the YAML files without importing anything heavy."""

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from erasure.schema import console_words, trial_words

GROUPS = (
    ("dataset", "what to learn from"),
    ("split", "what to hold out, and what to forget"),
    ("model", "what to train"),
    ("trainer", "how original and gold are trained"),
    ("unlearner", "how to forget"),
    ("evaluator", "what to measure"),
    ("objective", "what a sweep optimizes"),
    ("tracking", "where results go"),
    ("experiment", "named sets of choices"),
    ("fit", "inner loops of trainers and unlearners, set as unlearner.fit.* and trainer.fit.*"),
    ("metric", "single measurements, collected by evaluators"),
    ("hydra/sweeper", "how a sweep is laid out"),
    ("hydra/sweeper/sampler", "what draws the settings of hydra/sweeper=optuna"),
    ("hydra/sweeper/pruner", "what stops its trials early"),
    ("hydra/launcher", "where the trials of a sweep run"),
)

EXAMPLES = (
    "unlearner=scrub",
    "unlearner=neggrad_plus unlearner.alpha=0.9 unlearner.fit.epochs=3",
    "split=class split.classes=[3] dataset=digits model=cnn trainer=one_cycle",
    "--multirun unlearner=identity,retrain,finetune,scrub seed=0,1,2",
    "--multirun experiment=baselines",
    "--multirun hydra/sweeper=optuna unlearner=scrub,ssd hydra.sweeper.n_trials=20",
    "why unlearner=scrub",
    "unlearner=custom unlearner._target_=mypackage.MyMethod",
)
"""Arguments of ``run.py``, as a shell takes them."""

SETTINGS = """\
  seed=0                        one for all, or seeds.split, .train, .unlearn, .evaluate
  device=auto                   auto, cpu, cuda, cuda:N, mps
  precision=32                  32, bf16
  threads=1                     CPU threads per trial
  pictures=true                 draw losses, ROC and curves
  resume=true                   false runs a finished trial again
  store.root=store              trained models and the results of trials
  data.root=data                downloads, files placed by hand, prepared data
  tracking.uri=sqlite:///...    any MLflow tracking server or database
"""

OPTIONS = """\
  --multirun, -m                a sweep: every combination of comma-separated values
  --cfg job [--resolve]         print the composed configuration and stop
  --config-dir FOLDER           a folder with groups of your own, such as unlearner/mine.yaml
  --info defaults               where each choice comes from
  --hydra-help                  all options of Hydra
"""


def show_help(conf: Path, outside: Sequence[str] = ()) -> None:
    """Print the groups below ``conf`` and in outside packages, each option with its summary."""
    console = Console(highlight=False)
    console.print(Text("erasure: machine-unlearning experiments, swept, measured alike, tracked"))
    console.print(Text(f"\n{_usage()} [group=option ...] [setting=value ...]\n"))
    folders = [conf, *_folders(outside)]
    for group, meaning in GROUPS:
        options = sorted({path for folder in folders for path in (folder / group).glob("*.yaml")})
        if options:
            _show_group(console, group, meaning, options)
    # joined and not quoted: bash takes the brackets of a list as they are
    examples = "".join(f"  {' '.join(trial_words(line.split()))}\n" for line in EXAMPLES)
    titled = (("settings", SETTINGS), ("options", OPTIONS), ("examples", examples))
    for title, text in titled:
        console.print(Text(title, style="bold"))
        console.print(Text(text), soft_wrap=True)  # a command must stay one line


def _usage() -> str:
    program = console_words()
    if program is None:
        return " ".join([*trial_words([]), "[--multirun]"])
    return " ".join([*program, "run|sweep|tune"])


def _show_group(console: Console, group: str, meaning: str, options: Sequence[Path]) -> None:
    console.print(Text.assemble((group, "bold"), ("  " + meaning, "dim")))
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=16, style="cyan")
    table.add_column()
    for path in options:
        if not path.stem.startswith("_"):
            table.add_row("  " + path.stem, Text(_summary(path)))
    console.print(table)
    console.print()


def _summary(path: Path) -> str:
    """Return the first comment of a YAML file that is not an instruction to Hydra."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# ") and not line.startswith("# @package"):
            return line[2:]
    return ""


def _folders(packages: Sequence[str]) -> Iterator[Path]:
    for package in packages:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            yield from (Path(folder) for folder in spec.submodule_search_locations)
