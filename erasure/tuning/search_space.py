"""Search spaces: the settings a study draws, and what it draws them from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, TypeAlias, cast

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from erasure.config.build import check_arguments
from erasure.config.overrides import Loader
from erasure.config.selection import read_yaml
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
        when: The axis is there only if each of these settings has this value, or one of these.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    int: bool = False
    step: float | None = None
    choices: Sequence[Value] | None = None
    one_minus: bool = False
    when: Mapping[str, Value | Sequence[Value]] | None = None

    def __post_init__(self) -> None:
        ranged = self.low is not None and self.high is not None
        if ranged == (self.choices is not None):
            raise ConfigError("an axis of a search space needs either low and high, or choices")
        if self.choices is not None and len(self.choices) == 0:
            raise ConfigError("choices must not be empty")
        if ranged:
            self._check_range(cast("float", self.low), cast("float", self.high))
        if self.one_minus and (self.int or self.choices is not None):
            raise ConfigError("one_minus must be of a range of numbers that need not be whole")
        if self.when is not None and not (isinstance(self.when, Mapping) and self.when):
            raise ConfigError(f"when must map settings to values, got {self.when!r}")
        if not all(self.conditions.values()):
            raise ConfigError(f"when must allow a value of each setting, got {self.when!r}")

    def _check_range(self, low: float, high: float) -> None:
        if not low < high:
            raise ConfigError(f"low must be < high, got {low} and {high}")
        if self.log and not low > 0:
            raise ConfigError(f"low must be > 0 on a logarithmic axis, got {low}")
        if self.step is not None and (self.log or self.step <= 0):
            raise ConfigError(f"step must be > 0 and on a linear axis, got {self.step}")
        numbers = (low, high) if self.step is None else (low, high, self.step)
        if self.int and any(number % 1 for number in numbers):
            raise ConfigError(f"low, high and step of whole numbers must be whole, got {numbers}")

    @property
    def distribution(self) -> BaseDistribution:
        """What Optuna draws from; with ``one_minus`` it draws one minus the setting."""
        if self.choices is not None:
            return CategoricalDistribution(list(self.choices))
        low, high = self._ends
        if self.int:
            step = round(self.step or 1)
            return IntDistribution(round(low), round(high), log=self.log, step=step)
        return FloatDistribution(low, high, log=self.log, step=self.step)

    @property
    def conditions(self) -> Mapping[str, Sequence[Value]]:
        """The settings this axis depends on, each with the values it must have one of."""
        return {
            name: list(values)
            if isinstance(values, Sequence) and not isinstance(values, str)
            else [values]
            for name, values in (self.when or {}).items()
        }

    @property
    def _ends(self) -> tuple[float, float]:
        """Lowest and highest value; where there are steps, the last one that is not above."""
        low, high = cast("float", self.low), cast("float", self.high)
        if self.step is None:
            return low, high
        exact_low, exact_high, step = (Decimal(str(number)) for number in (low, high, self.step))
        return low, self._at((exact_high - exact_low) // step)

    def _at(self, index: Decimal | Count) -> float:
        # in decimals: 3 x 0.1 is the 0.3 that one writes and not 0.30000000000000004
        step = Decimal(str(self.step))
        return float(Decimal(str(self.low)) + index * step)

    def _on_step(self, drawn: float) -> float:
        """Return the value with a step that is closest to a number."""
        low, high = self._ends
        inside = min(max(drawn, low), high)
        return self._at(round((inside - low) / cast("float", self.step)))

    def suggest(self, trial: Trial, name: str) -> Value:
        """Draw a value for the setting ``name``, or return what the trial drew before."""
        drawn_from = self.distribution
        if isinstance(drawn_from, CategoricalDistribution):
            return trial.suggest_categorical(name, list(drawn_from.choices))
        if isinstance(drawn_from, IntDistribution):
            low, high, step = drawn_from.low, drawn_from.high, drawn_from.step
            return trial.suggest_int(name, low, high, log=drawn_from.log, step=step)
        start, end = self._ends
        return self.setting(trial.suggest_float(name, start, end, log=self.log, step=self.step))

    def setting(self, drawn: Value) -> Value:
        """Return the setting that belongs to a drawn value."""
        if self.choices is not None:
            return drawn
        number = cast("float", drawn)
        if self.step is None or self.int:
            return 1.0 - number if self.one_minus else drawn
        number = self._on_step(number)
        return float(1 - Decimal(str(number))) if self.one_minus else number

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
        low, high = self._ends
        inside = min(max(drawn, low), high) if self.step is None else self._on_step(drawn)
        return round(inside) if self.int else float(inside)

    def has(self, setting: Value) -> bool:
        """Tell whether a setting can be drawn; of a range without steps no single value can."""
        try:
            nearest = self.nearest(setting)
        except KeyError:
            return False
        is_discrete = self.choices is not None or self.int or self.step is not None
        return is_discrete and self.setting(nearest) == setting

    def points(self, count: Count) -> list[Value]:
        """Return values that cover the axis evenly, ``count`` of a range or all choices.

        A logarithmic axis is covered evenly in the logarithm; whole numbers occur once each.
        """
        if self.choices is not None:
            return list(self.choices)
        low, high = self._ends
        shares = [index / (count - 1) for index in range(count)] if count > 1 else [0.5]
        if self.log:  # clipped: the power of the whole may round past the end
            drawn_values = [min(max(low * (high / low) ** share, low), high) for share in shares]
        else:
            drawn_values = [low + (high - low) * share for share in shares]
        settings = (1.0 - drawn if self.one_minus else drawn for drawn in drawn_values)
        # nearest takes a setting and returns what is drawn: it snaps to steps and whole numbers
        return list(dict.fromkeys(self.nearest(setting) for setting in settings))


Space: TypeAlias = Mapping[str, Axis]
"""Axes by dotted setting."""


def search_space(unlearner: str, loader: Loader) -> Space:
    """Return the axes of a method, ``search/<unlearner>.yaml`` on Hydra's search path.

    Args:
        unlearner: Name of the option.
        loader: Knows the folders and packages of YAML files, ours and others'.

    Raises:
        ConfigError: If there is none, or one of its axes makes no sense.
    """
    path = f"search/{unlearner}"
    axes = read_yaml(loader, path)
    if axes is None:
        raise ConfigError(
            f"unlearner={unlearner} has no search space: there is no search/{unlearner}.yaml"
        )
    return dict(read_axes_of(axes, f"{path}.yaml"))


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
            check_arguments(Axis, node, name)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
        try:
            yield name, Axis(**node)
        except ConfigError as error:
            raise ConfigError(f"{where}: {name}: {error}") from error


def is_axis(node: Mapping[str, Any]) -> bool:
    """Tell whether a mapping is an axis, by its keys, and not a level above some."""
    # fields alone, but none of these three: an axis that Axis refuses with a reason
    return bool({"low", "high", "choices"} & set(node)) or set(node) <= _FIELDS


_FIELDS = {field.name for field in fields(Axis)}
