"""Search spaces: the settings a study draws, and what it draws them from."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, TypeAlias, cast

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from erasure.config.build import build
from erasure.config.settings import settings_of_config
from erasure.core.errors import ConfigError

Value: TypeAlias = float | int | str | bool | None
Count: TypeAlias = int  # an axis has a field named int


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The values one setting may take.

    Args:
        low: Lowest number of a range.
        high: Highest number of a range.
        log: Draw the logarithm uniformly.
        int: Whole numbers only.
        step: Distance between two neighbouring values; None allows every value.
        choices: The values, instead of a range.
        one_minus: Draw ``1 - value`` instead, for weights close to one.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    int: bool = False
    step: float | None = None
    choices: Sequence[Value] | None = None
    one_minus: bool = False

    def __post_init__(self) -> None:
        ranged = self.low is not None and self.high is not None
        if ranged == (self.choices is not None):
            raise ConfigError("an axis of a search space needs either low and high, or choices")
        if self.choices is not None and len(self.choices) == 0:
            raise ConfigError("choices must not be empty")
        if ranged and not cast("float", self.low) < cast("float", self.high):
            raise ConfigError(f"low must be < high, got {self.low} and {self.high}")
        if self.log and not cast("float", self.low) > 0:
            raise ConfigError(f"low must be > 0 on a logarithmic axis, got {self.low}")
        if self.step is not None and (self.log or self.step <= 0):
            raise ConfigError(f"step must be > 0 and on a linear axis, got {self.step}")

    @property
    def distribution(self) -> BaseDistribution:
        """What Optuna draws from; with ``one_minus`` it draws one minus the setting."""
        if self.choices is not None:
            return CategoricalDistribution(list(self.choices))
        low, high = cast("float", self.low), cast("float", self.high)
        if self.int:
            step = round(self.step or 1)
            return IntDistribution(round(low), round(high), log=self.log, step=step)
        return FloatDistribution(low, high, log=self.log, step=self.step)

    def suggest(self, trial: Trial, name: str) -> Value:
        """Draw a value for the setting ``name``, or return what the trial drew before."""
        drawn_from = self.distribution
        if isinstance(drawn_from, CategoricalDistribution):
            return trial.suggest_categorical(name, list(drawn_from.choices))
        if isinstance(drawn_from, IntDistribution):
            low, high, step = drawn_from.low, drawn_from.high, drawn_from.step
            return trial.suggest_int(name, low, high, log=drawn_from.log, step=step)
        continuous = cast("FloatDistribution", drawn_from)
        start, end, spacing = continuous.low, continuous.high, continuous.step
        return self.setting(trial.suggest_float(name, start, end, log=self.log, step=spacing))

    def setting(self, drawn: Value) -> Value:
        """Return the setting that belongs to a drawn value."""
        return 1.0 - float(cast("float", drawn)) if self.one_minus else drawn

    def nearest(self, setting: Value) -> Value:
        """Return the drawn value that comes closest to a setting.

        Raises:
            KeyError: If the setting is not among the choices, or is no number.
        """
        if self.choices is not None:
            if setting not in self.choices:
                raise KeyError(setting)
            return setting
        if isinstance(setting, bool | str) or setting is None:
            raise KeyError(setting)
        drawn = 1.0 - setting if self.one_minus else setting
        inside = min(max(drawn, cast("float", self.low)), cast("float", self.high))
        if self.step is not None or self.int:
            step, low = self.step or 1, cast("float", self.low)
            inside = low + round((inside - low) / step) * step
        return round(inside) if self.int else float(inside)

    def points(self, count: Count) -> list[Value]:
        """Return values that cover the axis evenly, ``count`` of a range or all choices.

        A logarithmic axis is covered evenly in the logarithm; whole numbers occur once each.
        """
        if self.choices is not None:
            return list(self.choices)
        low, high = cast("float", self.low), cast("float", self.high)
        shares = [index / (count - 1) for index in range(count)] if count > 1 else [0.5]
        if self.log:  # clipped: the power of the whole may round past the end
            drawn_values = [min(max(low * (high / low) ** share, low), high) for share in shares]
        else:
            drawn_values = [low + (high - low) * share for share in shares]
        settings = (1.0 - drawn if self.one_minus else drawn for drawn in drawn_values)
        # nearest takes a setting and returns what is drawn: it snaps to steps and whole numbers
        return list(dict.fromkeys(self.nearest(setting) for setting in settings))


ABSENT = object()
"""A setting that is not there; None is a value that settings have."""

Space: TypeAlias = Mapping[str, Axis]
"""Axes by dotted setting."""


def search_space(unlearner: str, loader: ConfigLoader) -> Space:
    """Return the axes of a method, ``search/<unlearner>.yaml`` on Hydra's search path.

    Args:
        unlearner: Name of the option.
        loader: Knows the folders and packages of YAML files, ours and others'.

    Raises:
        ConfigError: If there is none, or one of its axes makes no sense.
    """
    path = f"search/{unlearner}"
    for source in loader.get_sources():
        if source.available() and source.is_config(path):
            axes = OmegaConf.to_container(source.load_config(path).config) or {}
            return dict(read_axes_of(cast("Mapping[str, Any]", axes), f"{path}.yaml"))
    raise ConfigError(
        f"unlearner={unlearner} has no search space: there is no search/{unlearner}.yaml"
    )


def read_axes_of(nodes: Mapping[str, Any], where: str) -> Iterator[tuple[str, Axis]]:
    """Yield the axes in a mapping of dotted settings, which may be nested as well.

    Raises:
        ConfigError: If an axis makes no sense; the message starts with ``where``.
    """
    for name, node in nodes.items():
        if not isinstance(node, Mapping):
            raise ConfigError(
                f"{where}: {name} must be an axis such as {{low: 0, high: 1}} or "
                f"{{choices: [1, 2]}}, got {node!r}"
            )
        if not is_axis(node):
            inside = {f"{name}.{key}": inner for key, inner in node.items()}
            yield from read_axes_of(inside, where)
            continue
        try:
            yield name, Axis(**node)
        except (TypeError, ConfigError) as error:
            raise ConfigError(f"{where}: {name}: {error}") from error


def is_axis(node: Mapping[str, Any]) -> bool:
    """Tell whether a mapping is an axis, by its keys, and not a level above some."""
    # fields alone, but none of these three: an axis that Axis refuses with a reason
    return bool({"low", "high", "choices"} & set(node)) or set(node) <= _FIELDS


def override_value(value: Value) -> str:
    """Return a value as an override has it."""
    special = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return special[value]
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return repr(value)


def check_space(base: DictConfig, space: Space, unlearner: str) -> None:
    """Refuse axes of what is no setting of ``base``, or whose ends cannot be built.

    Raises:
        ConfigError: With one message that names the axis.
    """
    for name, axis in space.items():
        value = OmegaConf.select(base, name, default=ABSENT)
        if value is ABSENT:
            close = get_close_matches(name, _settings(base), n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ConfigError(
                f"{name} in the search space of unlearner={unlearner} is not a setting{hint}"
            )
        if isinstance(value, DictConfig):
            raise ConfigError(
                f"{name} cannot be drawn: it is a group; several values of it, as in "
                f"{name}=a,b, are studies of their own"
            )
        _check_ends(base, name, [axis.setting(drawn) for drawn in axis.points(2)])


def _check_ends(base: DictConfig, name: str, ends: Sequence[Value]) -> None:
    """Build the method at the ends of an axis, so that a bad range shows before a trial runs."""
    if not name.startswith("unlearner.") or OmegaConf.is_missing(base.unlearner, "_target_"):
        return
    if "_target_" not in base.unlearner:
        return
    for end in ends:
        node = copy.deepcopy(base.unlearner)
        OmegaConf.update(node, name.removeprefix("unlearner."), end)
        try:
            build(node, "unlearner")
        except ConfigError as error:
            raise ConfigError(f"{error}; the search space allows {name}={end}") from error


def _settings(base: DictConfig) -> list[str]:
    plain = settings_of_config(base)

    def paths(value: Any, path: str) -> list[str]:
        if isinstance(value, Mapping):
            return [leaf for key, inner in value.items() for leaf in paths(inner, f"{path}.{key}")]
        return [path]

    return [leaf for key, value in plain.items() for leaf in paths(value, key)]


_FIELDS = {field.name for field in fields(Axis)}
