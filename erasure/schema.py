"""What erasure writes and the analysis reads: tags, files, directions, colors, number format.

The only module of ``erasure`` that ``multirun_analysis`` may import. It needs the standard library
alone, so that a leaderboard loads neither torch nor Hydra.
"""

import hashlib
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

Direction = Literal["max", "min", "closer_to_gold", "closer_to_ideal", "info"]
"""Which way a metric is better; ``info`` is not judged."""

ROLES = ("unlearned", "original", "gold")
"""The models a trial measures; the first has no prefix, ``gold/gap/avg`` is of the last."""

SEED_KINDS = ("split", "train", "unlearn", "evaluate")
"""Stages with a seed of their own: ``seeds.<kind>`` in a configuration, ``seed.<kind>`` as tag."""

CHOICE_TAGS = ("unlearner", "dataset", "model", "split", "trainer", "evaluator")
"""Tags of a trial with what was chosen in each group of the configuration."""

FINGERPRINT_TAG = "erasure.fingerprint"
"""Hash of a trial; a run without it is none of ours, or that of a sweep."""

SWEEP_TAG = "erasure.sweeps"
"""Hash of a sweep, on the run of the sweep."""

COMMAND_TAG = "erasure.command"
OUTCOME_TAG = "erasure.outcome"
REASON_TAG = "erasure.reason"
HOST_TAG = "erasure.host"
DIRTY_TAG = "erasure.dirty"
PARENT_TAG = "mlflow.parentRunId"
COMMIT_TAG = "mlflow.source.git.commit"
STORE_TAG = "store."
"""Beginning of ``store.original`` and ``store.gold``: the keys of the models in the store."""

METRICS_FILE = "metrics.json"
SAMPLES_FILE = "per_sample.parquet"
SWEEP_FILE = "sweep.json"
SUMMARY_FILE = "summary.csv"

MULTIRUN = ("-m", "--multirun")
"""What makes a sweep of the command of a trial."""

TUNES = "hydra/sweeper=optuna"
"""What makes a search of a sweep; ``erasure tune`` is short for both."""

DEFAULT_URI = "sqlite:///mlruns/mlflow.db"
"""Where trials are tracked unless a setting or a variable names another place."""

MAIN_METRICS = (
    "forget/accuracy",
    "retain/accuracy",
    "test/accuracy",
    "val/accuracy",
    "mia/loss/auc",
    "gap/avg",
    "cost/unlearn_seconds",
    "cost/speedup",
)
"""Metrics a reader wants side by side; those that were not measured are left out."""

YARDSTICKS = ("Retrain", "Identity")
"""Classes of the methods that others are measured by, and that are no candidates for the best."""

METHOD_COLORS = {
    "identity": "#999999",
    "retrain": "#009E73",
    "finetune": "#0072B2",
    "grad_ascent": "#D55E00",
    "neggrad_plus": "#E69F00",
    "scrub": "#CC79A7",
}
"""Colors of Okabe and Ito, "Color Universal Design" (2008), for what is always compared."""

OTHER_COLORS = (
    "#332288",
    "#88CCEE",
    "#44AA99",
    "#117733",
    "#999933",
    "#DDCC77",
    "#CC6677",
    "#882255",
    "#AA4499",
)
"""Colors of Paul Tol, "Colour Schemes" (2021, muted), told apart by the color-blind."""

NEUTRAL_COLOR = "#5F6B7A"
"""Of what is no method: a sweep, the original model, an axis."""

NO_NUMBER = "–"

# Everything up to the last @ before a slash: a password may contain one itself.
PASSWORD = re.compile(r"(://[^:/@\s]*):[^@\s]*@(?:[^@/\s]*@)*")


def color_index(unlearner: str) -> int:
    """Return the position in :data:`OTHER_COLORS` of a method without a color of its own.

    A function of the name alone: a method keeps its color from one sweep to the next.
    """
    # blake2b, since the hash of Python's strings changes from process to process
    digest = hashlib.blake2b(unlearner.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % len(OTHER_COLORS)


def color_of(unlearner: str) -> str:
    """Return the color of a method as ``#RRGGBB``; a function of its name alone."""
    return METHOD_COLORS.get(unlearner, OTHER_COLORS[color_index(unlearner)])


def is_yardstick(target: str, unlearner: str) -> bool:
    """Tell whether a method is a yardstick: it retrains, or does nothing.

    Args:
        target: Path of its class, empty if it is unknown, as of a trial that never ran.
        unlearner: The option that was chosen; it decides where the class is unknown.
    """
    return (target.rpartition(".")[2] or unlearner.capitalize()) in YARDSTICKS


def format_number(value: float) -> str:
    """Return a number as a person wants to read it: ``0.934``, ``1.2e+04``, a dash for NaN.

    Three decimals where those show something, three significant digits elsewhere.
    """
    if math.isnan(value):
        return NO_NUMBER
    # 0.0005 is the smallest number that three decimals do not round to 0
    plain = value == 0 or 0.0005 <= abs(value) < 1000
    return f"{value:.3f}" if plain else f"{value:.3g}"


def without_password(text: str) -> str:
    """Return a text, an address or a command, in which no address gives its password away."""
    return PASSWORD.sub(r"\1:***@", text)


def console_words() -> list[str] | None:
    """Return how our own command was started, or None where it was a script such as ``run.py``."""
    program = Path(sys.argv[0])
    if program.name == "erasure":
        return ["erasure"]
    # what Python makes of `python -m erasure`
    if program.parts[-2:] == ("erasure", "__main__.py"):
        return ["python", "-m", "erasure"]
    return None


def trial_words(arguments: Sequence[str]) -> list[str]:
    """Return the command that takes ``arguments`` of ``run.py``, as it works where the user is.

    Whoever typed ``python run.py -m ...`` is shown such commands, whoever typed
    ``erasure sweep ...`` those.
    """
    program = console_words()
    if program is None:
        script = sys.argv[0]
        is_script = script.endswith(".py") and Path(script).name != "__main__.py"
        return ["python", script if is_script else "run.py", *arguments]
    if list(arguments[:1]) == ["why"]:
        return [*program, *arguments]
    swept = [word for word in arguments if word not in MULTIRUN]
    if len(swept) == len(arguments):
        return [*program, "run", *arguments]
    if TUNES not in swept:
        return [*program, "sweep", *swept]
    return [*program, "tune", *(word for word in swept if word != TUNES)]


def tool_words(*arguments: str) -> list[str]:
    """Return the command that has ``store``, ``studies`` and others, as it works here."""
    return [*(console_words() or ["python", "-m", "erasure"]), *arguments]


def single_run_words(sweep: Sequence[str]) -> list[str]:
    """Return the command of a sweep as one that runs a single trial of the same settings."""
    for program in (["erasure"], ["python", "-m", "erasure"]):
        if list(sweep[: len(program)]) == program:
            return [*program, "run", *sweep[len(program) + 1 :]]
    return [word for word in sweep if word not in MULTIRUN]
