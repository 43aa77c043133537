"""What identifies a grid: its name, its command, and what varies in it."""

import math
from collections.abc import Sequence

from erasure.config.axes import Axes
from erasure.config.command import typed_command
from erasure.launch.run import Run
from erasure.results.tracker import Sweep
from erasure.trial.describe import GROUPS


def identify(runs: Sequence[Run], axes: Axes, fingerprint: str) -> Sweep:
    """Return the identity of the sweep that ``axes`` span.

    Args:
        runs: Its runs.
        axes: What is swept.
        fingerprint: Hash of the runs.
    """
    command = typed_command()
    overrides = {key: _values(choices) for key, choices in axes.items()}
    space = [f"- `{key}`: {values}" for key, values in overrides.items()]
    return Sweep(
        fingerprint=fingerprint,
        name=_name(runs, axes),
        command=command,
        overrides=overrides,
        total=len(runs),
        description="\n".join([f"{len(runs)} trials", "", *space, "", "```", command, "```"]),
    )


def _name(runs: Sequence[Run], axes: Axes) -> str:
    if not axes:
        return runs[0].label
    # axes that step together and several grids are no product
    is_product = math.prod(map(len, axes.values())) == len(runs)
    counts = (" × " if is_product else ", ").join(
        _counted(key, len(choices)) for key, choices in axes.items()
    )
    datasets = dict.fromkeys(run.record.tags["dataset"] for run in runs)
    return f"{counts} on {', '.join(datasets)}"


def _counted(key: str, count: int) -> str:
    plural = key in GROUPS or key == "seed"
    return f"{count} {key}s" if plural else f"{count} values of {key}"


def _values(choices: Sequence[str]) -> str:
    return ", ".join(choice.partition("=")[2] for choice in choices)
