"""The grid a command line asks for: its axes, and their product."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from erasure.core.errors import ConfigError

Axes: TypeAlias = Mapping[str, Sequence[str]]
"""Overrides by the key they set; a key with several overrides is swept."""


def read_axes(
    loader: ConfigLoader, params: Mapping[str, Any] | None, arguments: Sequence[str]
) -> Axes:
    """Parse the overrides of a sweep.

    Args:
        loader: Knows the options of a config group, for ``unlearner=glob(s*)``.
        params: Overrides from config files, key to value or ``a,b,c``.
        arguments: Overrides from the command line; they win over ``params``.

    Raises:
        ConfigError: If an axis is empty, or is an interval, which has no finite grid.
    """
    defaults = [f"{key}={_text(value)}" for key, value in (params or {}).items()]
    parsed = OverridesParser.create(config_loader=loader).parse_overrides([*defaults, *arguments])
    # of one key the last override counts, so the command line wins
    return dict(axis_of(override) for override in parsed)


def axis_of(override: Override) -> tuple[str, Sequence[str]]:
    """Return what an override sets, and one override for each value it has.

    Raises:
        ConfigError: If there is none, or no end of them.
    """
    return _target(override), _choices(override)


def swept(axes: Axes) -> dict[str, Sequence[str]]:
    """Return the axes with more than one value."""
    return {key: choices for key, choices in axes.items() if len(choices) > 1}


def product(axes: Axes) -> list[tuple[str, ...]]:
    """Return the overrides of every trial; the last axis varies fastest."""
    return list(itertools.product(*axes.values()))


def _text(value: Any) -> str:
    return "null" if value is None else str(value)


def _target(override: Override) -> str:
    """Return what an override sets, so that ``+a=1`` replaces ``a=2`` instead of joining it."""
    package = f"@{override.package}" if override.package is not None else ""
    deletes = "~" if override.is_delete() else ""  # which replaces nothing: what follows adds
    return f"{deletes}{override.key_or_group}{package}"


def _choices(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [str(override.input_line)]
    if not override.is_discrete_sweep():
        raise ConfigError(
            f"{override.key_or_group} must be a list, a range or a glob in a grid,"
            f" got {override.get_value_string()}"
        )
    choices = list(dict.fromkeys(_values(override)))
    if not choices:
        raise ConfigError(
            f"{override.key_or_group} must match something, got {override.get_value_string()}"
        )
    return choices


def _values(override: Override) -> Iterator[str]:
    key = override.get_key_element()
    return (f"{key}={value}" for value in override.sweep_string_iterator())
