"""What Hydra has to know before it composes: types of settings, and folders of outside packages.

With the types it refuses ``seed=abc`` while it composes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import II, MISSING


@dataclass
class SeedKeys:
    """One seed per stage; all follow ``seed`` unless set."""

    split: int = II("seed")
    train: int = II("seed")
    unlearn: int = II("seed")
    evaluate: int = II("seed")


@dataclass
class StoreKeys:
    """Where trained models and the results of trials live."""

    root: str = "store"


@dataclass
class DataKeys:
    """Where data lie and how much of them may stay in memory."""

    root: str = "data"
    resident_limit: float = 4.0
    download: bool = True
    verify: bool = True


@dataclass
class ReferenceKeys:
    """Further models of the same recipe, by which attacks and nulls are calibrated."""

    size: int = 0
    shadows: int = 0
    first: int = 32
    tolerance: float = 0.02
    engine: str = "auto"
    workers: int | None = None


@dataclass
class TuningKeys:
    """What a run knows about the study it belongs to; a tuning sweep sets it."""

    _target_: str = "erasure.tuning.monitor_of"
    study: str = ""
    trial: int | None = None
    seed_index: int = 0
    storage: str = ""
    max_seconds: float | None = None


@dataclass
class Config:
    """The table of contents of ``conf/config.yaml``."""

    dataset: Any = MISSING
    split: Any = MISSING
    model: Any = MISSING
    trainer: Any = MISSING
    unlearner: Any = MISSING
    evaluator: Any = MISSING
    objective: Any = MISSING
    tracking: Any = MISSING
    seed: int = 0
    seeds: SeedKeys = field(default_factory=SeedKeys)
    device: str = "auto"
    precision: str = "32"
    threads: int = 1
    pictures: bool = True
    resume: bool = True
    store: StoreKeys = field(default_factory=StoreKeys)
    data: DataKeys = field(default_factory=DataKeys)
    references: ReferenceKeys = field(default_factory=ReferenceKeys)
    tuning: TuningKeys = field(default_factory=TuningKeys)


def register_schema() -> None:
    """Make the schema known to Hydra under the name that ``conf/config.yaml`` starts from."""
    ConfigStore.instance().store(name="schema", node=Config)


def register_search_path(packages: Sequence[str]) -> None:
    """Let Hydra look for options in ``packages`` after our own folder."""
    _register_search_path(tuple(packages))


@lru_cache(maxsize=1)  # Hydra would look in them once more for each time they are registered
def _register_search_path(packages: tuple[str, ...]) -> None:
    class OutsidePackages(SearchPathPlugin):
        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            for package in packages:
                search_path.append(provider="erasure", path=f"pkg://{package}")

    Plugins.instance().register(OutsidePackages)
