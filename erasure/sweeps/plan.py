"""From overrides to trials that are composed, named and distinct, before anything runs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from erasure.config.axes import AxisProduct, varying
from erasure.config.compose import Compositions, hydra_sees
from erasure.launch.run import Run
from erasure.trial.describe import GROUPS
from erasure.trial.task import trial_of


def plan(compositions: Compositions, products: Sequence[AxisProduct]) -> list[Run]:
    """Compose every trial of a grid, or of several, and drop those that equal an earlier one.

    Raises:
        HydraException: If a trial cannot be composed; the message names the override.
    """
    names = varying(products)
    runs: dict[str, Run] = {}
    for overrides in (each for product in products for each in product.overrides()):
        run = plan_one(compositions, overrides, number=len(runs), varying=names)
        runs.setdefault(run.record.fingerprint, run)  # a duplicate gives its number to the next
    return list(runs.values())


def plan_one(
    compositions: Compositions,
    overrides: tuple[str, ...],
    *,
    number: int,
    varying: Sequence[str],
) -> Run:
    """Compose a trial and name it.

    Args:
        compositions: Composes the configuration.
        overrides: What tells which trial it is.
        number: Its position in the grid.
        varying: The overrides, of all trials, that tell trials apart.

    Raises:
        HydraException: If it cannot be composed; the message names the override.
    """
    config = compositions.compose(overrides, number)
    run = composed_run(config, number, overrides)
    chosen = [override for override in overrides if override in varying and not _is_seed(override)]
    unnamed = [override for override in chosen if _key(override) not in GROUPS]
    others = [override for override in chosen if _key(override) != "unlearner"]
    return replace(
        run,
        label=" · ".join([run.record.name, *unnamed]),
        variant=" · ".join([run.record.tags["unlearner"], *others]),
    )


def composed_run(config: Any, number: int, overrides: tuple[str, ...]) -> Run:
    """Return the run of a composed configuration, named after nothing but its trial."""
    with hydra_sees(config):
        trial = trial_of(config)
        record = trial.record  # now: files that it depends on are looked up where Hydra says
    return Run(
        number=number,
        trial=trial,
        label=record.name,
        variant=record.tags["unlearner"],
        overrides=overrides,
        config=config,
    )


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+")


def _is_seed(override: str) -> bool:
    return _key(override) == "seed" or _key(override).startswith("seeds.")
