"""Conditional axes: those that are there only while another setting has a certain value."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from optuna.trial import Trial

from erasure.config.selection import ABSENT, Config, is_level, option_or_setting, selected
from erasure.core.errors import ConfigError
from erasure.tuning.search_space import Axis, Space, Value


def draw(space: Space, trial: Trial) -> dict[str, Value]:
    """Draw every axis that is there, or return what the trial drew before, by dotted setting."""
    settings: dict[str, Value] = {}
    for name, axis in space.items():
        if is_active(axis, settings):
            settings[name] = axis.suggest(trial, name)
    return settings


def is_active(
    axis: Axis, settings: Mapping[str, Value], unknown: Collection[str] = frozenset()
) -> bool:
    """Tell whether ``settings`` have what an axis depends on.

    Args:
        axis: The axis.
        settings: What was drawn. An axis that depends on one that is not there is not there.
        unknown: Settings that may have any value.
    """
    return all(
        name in unknown or (name in settings and _is_among(settings[name], values))
        for name, values in axis.conditions.items()
    )


def active_settings(space: Space, settings: Mapping[str, Value]) -> dict[str, Value]:
    """Return those of ``settings`` whose axes are there."""
    active: dict[str, Value] = {}
    for name, axis in space.items():
        if name in settings and is_active(axis, active):
            active[name] = settings[name]
    return active


def drawn_defaults(space: Space, base: Config) -> dict[str, Value]:
    """Return what to draw to come closest to the settings of ``base``."""
    drawn: dict[str, Value] = {}
    settings: dict[str, Value] = {}
    unknown: set[str] = set()
    for name, axis in space.items():
        if not is_active(axis, settings, unknown):
            continue
        try:
            drawn[name] = axis.nearest(selected(base, name))
            settings[name] = axis.setting(drawn[name])
        except KeyError:
            unknown.add(name)  # not among the choices: the sampler draws it
    return drawn


def assumed(space: Space, name: str) -> dict[str, Value]:
    """Return settings with which the axis ``name`` is there."""
    settings: dict[str, Value] = {}
    for parent, values in space[name].conditions.items():
        settings.update({**assumed(space, parent), parent: values[0]})
    return settings


def settle_conditions(space: Space, base: Config) -> Space:
    """Put each axis after those it depends on, and settle what depends on fixed settings.

    An axis whose condition no trial can meet, because a fixed setting or the option of a config
    group has another value, is left out, and so is what depends on it.

    Raises:
        ConfigError: If a condition is about what is no setting, about a value that is never
            drawn, or comes back to its own axis.
    """
    settled: dict[str, Axis] = {}
    waiting = dict(space)
    while waiting:
        ready = [n for n, axis in waiting.items() if not axis.conditions.keys() & waiting.keys()]
        if not ready:
            circle = [f"{name} on {', '.join(axis.conditions)}" for name, axis in waiting.items()]
            raise ConfigError(f"axes of a search space depend on each other: {'; '.join(circle)}")
        for name in ready:
            axis = waiting.pop(name)
            drawn = dict(_open_conditions(name, axis, space, settled, base))
            if all(parent in settled for parent in drawn):
                settled[name] = replace(axis, when=drawn or None)
    return settled


def _open_conditions(
    name: str, axis: Axis, space: Space, settled: Space, base: Config
) -> Iterator[tuple[str, list[Value]]]:
    """Yield the conditions that are met by some trials or by none, and not by all."""
    for parent, allowed in axis.conditions.items():
        values = list(allowed)
        if parent in settled:
            _check_values(name, parent, values, settled[parent])
        elif parent not in space and _is_among(_fixed_value(name, parent, base), values):
            continue
        yield parent, values


def _check_values(name: str, parent: str, values: list[Value], axis: Axis) -> None:
    impossible = [value for value in values if not axis.has(value)]
    if impossible:
        raise ConfigError(
            f"{name} in the search space depends on {parent}={impossible[0]!r}, which is never "
            f"drawn; {parent} must have it among its choices, whole numbers or steps"
        )


def _fixed_value(name: str, parent: str, base: Config) -> Value:
    """Return the value of a setting, or the option of a config group."""
    value = option_or_setting(base, parent)
    if value is ABSENT or is_level(value):
        what = "a group of settings" if is_level(value) else "not a setting"
        raise ConfigError(f"{name} in the search space depends on {parent}, which is {what}")
    return value  # type: ignore[no-any-return]


def _is_among(value: Value, values: Collection[Value]) -> bool:
    # with the type: True == 1, and no setting means one by the other
    return any((value, isinstance(value, bool)) == (v, isinstance(v, bool)) for v in values)
