"""Search spaces of methods, read from ``conf/search/<unlearner>.yaml``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import optuna
from omegaconf import OmegaConf

from erasure.core.errors import ConfigError

Value = float | int | str | bool


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The values one setting may take.

    Args:
        low: Lowest number of a range.
        high: Highest number of a range.
        log: Draw the logarithm uniformly.
        int: Whole numbers only.
        choices: The values, instead of a range.
        one_minus: Draw ``1 - value`` instead, for weights close to one.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    int: bool = False
    choices: Sequence[Value] | None = None
    one_minus: bool = False

    def __post_init__(self) -> None:
        ranged = self.low is not None and self.high is not None
        if ranged == (self.choices is not None):
            raise ConfigError("an axis of a search space needs either low and high, or choices")
        if ranged and not cast("float", self.low) < cast("float", self.high):
            raise ConfigError(f"low must be < high, got {self.low} and {self.high}")
        if self.log and not cast("float", self.low) > 0:
            raise ConfigError(f"low must be > 0 on a logarithmic axis, got {self.low}")

    def suggest(self, trial: optuna.Trial, name: str) -> Value:
        """Draw a value for the setting ``name``."""
        if self.choices is not None:
            return cast("Value", trial.suggest_categorical(name, list(self.choices)))
        low, high = cast("float", self.low), cast("float", self.high)
        if self.int:
            return trial.suggest_int(name, round(low), round(high), log=self.log)
        drawn = trial.suggest_float(name, low, high, log=self.log)
        return 1.0 - drawn if self.one_minus else drawn


def search_space(unlearner: str, folders: Sequence[Path]) -> Mapping[str, Axis]:
    """Return the axes of a method by dotted setting.

    Args:
        unlearner: Name of the option.
        folders: Where to look for ``search/<unlearner>.yaml``, first match wins.

    Raises:
        ConfigError: If there is none, or one of its axes makes no sense.
    """
    for folder in folders:
        path = folder / "search" / f"{unlearner}.yaml"
        if path.is_file():
            found = cast("dict[str, Any] | None", OmegaConf.to_container(OmegaConf.load(path)))
            return {name: _axis(name, node, path) for name, node in (found or {}).items()}
    raise ConfigError(
        f"unlearner={unlearner} has no search space: there is no search/{unlearner}.yaml"
    )


def _axis(name: str, node: Mapping[str, Any], path: Path) -> Axis:
    try:
        return Axis(**node)
    except (TypeError, ConfigError) as error:
        raise ConfigError(f"search/{path.name}: {name}: {error}") from error
