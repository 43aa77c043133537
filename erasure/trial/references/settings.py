"""How many further models of a recipe there are, and how they are made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from erasure.core.errors import ConfigError

Engine = Literal["auto", "stacked", "processes", "alone"]

FIRST_SEED = 1_000_000
"""Training seed of the first reference model of a role: far from the seeds of trials."""


@dataclass(frozen=True, kw_only=True)
class ReferenceSettings:
    """The settings ``references.*``.

    Args:
        size: Originals, golds and unlearned models, each so many; 0 makes none.
        shadows: Models trained on random halves of training and held-out samples.
        first: Look at ``ulira/auc`` after so many, and go on only while it is undecided.
        tolerance: It is decided when its interval is inside 0.5 +- this, or outside.
        engine: ``stacked`` trains all at once, ``processes`` each in one of several processes,
            ``alone`` one after the other; ``auto`` stacks where that is faster.
        workers: Number of processes; None takes one per core.

    Raises:
        ConfigError: If a setting is out of range.
    """

    size: int = 0
    shadows: int = 0
    first: int = 32
    tolerance: float = 0.02
    engine: Engine = "auto"
    workers: int | None = None

    def __post_init__(self) -> None:
        for name in ("size", "shadows"):
            if getattr(self, name) < 0 or getattr(self, name) == 1:
                raise ConfigError(f"{name} must be 0 or at least 2, got {getattr(self, name)}")
        if self.first < 2:
            raise ConfigError(f"first must be >= 2, got {self.first}")
        if not 0.0 <= self.tolerance < 0.5:
            raise ConfigError(f"tolerance must be in [0, 0.5), got {self.tolerance}")
        if self.engine not in get_args(Engine):
            raise ConfigError(
                f"engine must be one of {', '.join(get_args(Engine))}, got {self.engine!r}"
            )
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"workers must be >= 1 or null, got {self.workers}")

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "ReferenceSettings":
        """Return the settings ``references.*`` as they are said in a configuration."""
        try:
            return cls(**settings)
        except ConfigError as error:
            raise ConfigError(f"references.{error}") from error

    @property
    def seeds(self) -> range:
        """Training seeds of the models of a role, the same for every trial that uses them."""
        return range(FIRST_SEED, FIRST_SEED + self.size)

    @property
    def stages(self) -> list[int]:
        """Sizes at which to look whether the attack is decided; the last is all of them."""
        sizes, size = [], min(self.first, self.size)
        while size < self.size:
            sizes.append(size)
            size = min(2 * size, self.size)
        return [*sizes, self.size] if self.size else []
