"""The settings of a tuning sweep, ``hydra.sweeper.*`` with ``hydra/sweeper=optuna``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from erasure.core.errors import ConfigError
from erasure.launch.interrupts import check_time


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """How to search; the fields are keys of ``conf/hydra/sweeper/optuna.yaml``.

    Args:
        n_trials: Trials of each study in total, over all processes and resumes.
        n_jobs: Trials handed at once to a launcher other than ``local`` and ``basic``.
        storage: Where studies live: an SQLAlchemy URL, ``journal:/path``, or None for
            ``<store.root>/studies/studies.db``.
        study_name: Name of the study, or the beginning of the names of several; None derives
            it from all that is fixed.
        seeds: Seeds every setting runs with; the value of a trial is the mean over them.
        max_trial_seconds: A trial whose method takes longer is pruned.
        max_failures: A study ends when a larger share of at least ten trials failed.
        sampler: The node of ``hydra/sweeper/sampler``.
        pruner: The node of ``hydra/sweeper/pruner``.

    Raises:
        ConfigError: If a value is not allowed.
    """

    n_trials: int = 20
    n_jobs: int = 1
    storage: str | None = None
    study_name: str | None = None
    seeds: Sequence[int] = (100, 101)
    max_trial_seconds: float | None = None
    max_failures: float = 1.0
    sampler: Mapping[str, Any] = field(default_factory=dict)
    pruner: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("n_trials", "n_jobs"):
            value = getattr(self, name)
            if not _is_whole(value) or value < 1:
                raise ConfigError(f"hydra.sweeper.{name} must be at least 1, got {value!r}")
        check_seeds("seeds", self.seeds)
        check_time("max_trial_seconds", self.max_trial_seconds)
        if not _is_number(self.max_failures) or not 0 < self.max_failures <= 1:
            raise ConfigError(
                f"hydra.sweeper.max_failures must be in (0, 1], got {self.max_failures!r}"
            )
        for name in ("storage", "study_name"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and value.strip()):
                raise ConfigError(f"hydra.sweeper.{name} must be null or text, got {value!r}")


def check_seeds(name: str, seeds: object) -> None:
    """Refuse what is no list of distinct whole numbers.

    Raises:
        ConfigError: The message names ``hydra.sweeper.<name>``.
    """
    listed = isinstance(seeds, Sequence) and not isinstance(seeds, str) and len(seeds) > 0
    if not listed or not all(_is_whole(seed) for seed in cast("Sequence[object]", seeds)):
        raise ConfigError(f"hydra.sweeper.{name} must be a list of whole numbers, got {seeds!r}")
    distinct = cast("Sequence[int]", seeds)
    if len(set(distinct)) != len(distinct):
        raise ConfigError(f"hydra.sweeper.{name} must be distinct, got {list(distinct)}")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
