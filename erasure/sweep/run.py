"""From overrides to trials that are composed, named and distinct, before anything runs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from erasure.config.compose import Compositions
from erasure.config.overrides import Axes, product, swept
from erasure.results.record import TrialRecord
from erasure.trial.describe import GROUPS, describe

if TYPE_CHECKING:
    from hydra.conf import HydraConf


@dataclass(frozen=True, kw_only=True)
class Run:
    """A trial of a sweep, ready to run.

    Args:
        number: Its place in the grid, and Hydra's ``hydra.job.num``.
        overrides: What tells Hydra to compose it.
        config: The composed configuration, ``hydra`` node included.
        trial: Its name and fingerprint.
        label: Its name, with swept settings that the name leaves out.
        variant: What it shares with the trials that differ from it by seeds alone.
    """

    number: int
    overrides: tuple[str, ...]
    config: DictConfig
    trial: TrialRecord
    label: str
    variant: str


def plan(compositions: Compositions, axes: Axes) -> list[Run]:
    """Compose every trial of the grid and drop those that equal an earlier one.

    Raises:
        HydraException: If a trial cannot be composed; the message names the override.
    """
    varying = tuple(choice for choices in swept(axes).values() for choice in choices)
    found: dict[str, Run] = {}
    for overrides in product(axes):
        planned = plan_one(compositions, overrides, number=len(found), varying=varying)
        found.setdefault(planned.trial.fingerprint, planned)
    return list(found.values())


@contextmanager
def hydra_sees(config: DictConfig) -> Iterator[None]:
    """Let ``${hydra:...}`` refer to ``config`` for a block."""
    holder = HydraConfig.instance()
    before = holder.cfg
    holder.cfg = cast("HydraConf", config)  # set_config would copy it, which takes longest here
    try:
        yield
    finally:
        holder.cfg = before


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
        number: Its place in the grid.
        varying: The overrides, of all trials, that tell trials apart.

    Raises:
        HydraException: If it cannot be composed; the message names the override.
    """
    config = compositions.compose(overrides, number)
    with hydra_sees(config):
        trial = describe(config, config.hydra.runtime.choices)
    mine = [override for override in overrides if override in varying and not _is_seed(override)]
    unnamed = [override for override in mine if _key(override) not in GROUPS]
    others = [override for override in mine if _key(override) != "unlearner"]
    return Run(
        number=number,
        overrides=overrides,
        config=config,
        trial=trial,
        label=" · ".join([trial.name, *unnamed]),
        variant=" · ".join([trial.tags["unlearner"], *others]),
    )


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+")


def _is_seed(override: str) -> bool:
    return _key(override) == "seed" or _key(override).startswith("seeds.")
