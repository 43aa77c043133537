"""One form for the settings of a component, whether they came from YAML or from an object.

A component is a frozen dataclass whose fields are the keys of its YAML file, so that either can be
turned into the other. What is left to choose is said here: every field is there, with its default
where nothing was said; a number where a fraction is meant is a fraction (``5`` is ``5.0``); and a
class goes by its shortest public name. Fingerprints are taken of this form, so that the same
trial has the same name however it was said.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache, partial
from pathlib import Path
from pkgutil import resolve_name
from types import UnionType
from typing import Any, Union, get_args, get_origin

from erasure.config.build import hints_of
from erasure.core.errors import ConfigError

FACADES = {"erasure.data.splits.": "erasure.splits", "erasure.data.sources.": "erasure.datasets"}
"""Modules that offer public names of packages which lie deeper."""

OFFERED_LATE = ("model",)
"""Groups whose components get arguments when they are built, such as the shape of a sample, unless
they are set: there a default must not be filled in."""


def canonical(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a trial in canonical form.

    Args:
        settings: Plain data by group or setting, as in a composed configuration.
    """
    return {
        key: _canonical(value, fill=key not in OFFERED_LATE) for key, value in settings.items()
    }


def settings_of(component: Any, key: str) -> Any:
    """Return the settings that build an equal ``component``, in canonical form.

    Args:
        component: A dataclass such as ``SSD(alpha=5.0)``, a class, a function, a
            ``functools.partial`` of one, or plain data that hold such.
        key: The group it is for, for messages.

    Raises:
        ConfigError: If it is none of these.
    """
    is_code = inspect.isclass(component) or inspect.isfunction(component)
    # at the top only: inside, a class or a function would be called where it is meant itself
    settings = {"_target_": _name(component, key)} if is_code else _settings(component, key)
    return canonical({key: settings})[key]


def _settings(value: Any, key: str) -> Any:
    if value is None or isinstance(value, bool | int | float | str | Path):
        return str(value) if isinstance(value, Path) else value
    if isinstance(value, Mapping):
        return {name: _settings(inner, f"{key}.{name}") for name, inner in value.items()}
    if isinstance(value, list | tuple | range):
        return [_settings(inner, f"{key}[{place}]") for place, inner in enumerate(value)]
    return _component(value, key)


def _component(value: Any, key: str) -> dict[str, Any]:
    if is_dataclass(value) and not isinstance(value, type):
        # a function that is there by default cannot be set in YAML, and need not be
        named = {
            field.name: getattr(value, field.name)
            for field in fields(value)
            if field.init and not inspect.isfunction(field.default)
        }
        return {"_target_": _name(type(value), key), **_settings(named, key)}
    if isinstance(value, partial):
        if value.args:
            raise ConfigError(f"{key} must have its settings by name, got {value.args!r} without")
        settings = _settings(value.keywords, key)
        return {"_target_": _name(value.func, key), "_partial_": True, **settings}
    raise ConfigError(
        f"{key} must be a dataclass, whose fields are its settings, or a class with settings as "
        f"in functools.partial(Class, width=3); got a {type(value).__name__}"
    )


def _name(target: Any, key: str) -> str:
    name = public_name(target)
    if name is None:
        raise ConfigError(
            f"{key} must be a class or function that can be imported, at the top level of a "
            f"module; got {getattr(target, '__qualname__', target)!r}"
        )
    return name


@lru_cache(maxsize=1024)
def public_name(target: Any) -> str | None:
    """Return the shortest dotted name that leads to a class or function, None if none does.

    ``erasure.unlearners.SSD`` is one, for a class that is defined in
    ``erasure.unlearners.ssd``.
    """
    module, name = getattr(target, "__module__", ""), getattr(target, "__qualname__", "")
    parts = str(module).split(".")
    facades = [facade for start, facade in FACADES.items() if f"{module}.".startswith(start)]
    packages = [*facades, *(".".join(parts[: end + 1]) for end in range(len(parts)))]
    return next(
        (f"{each}.{name}" for each in packages if _resolved(f"{each}.{name}") is target), None
    )


def _canonical(value: Any, *, fill: bool) -> Any:
    if isinstance(value, list | tuple):
        return [_canonical(inner, fill=fill) for inner in value]
    if not isinstance(value, Mapping):
        return value
    inner = {key: _canonical(item, fill=fill) for key, item in value.items()}
    target = _resolved(str(value["_target_"])) if "_target_" in value else None
    if target is None:  # no component, or one that cannot be imported, which building it says
        return inner
    named = {**inner, "_target_": public_name(target) or value["_target_"]}
    hints = hints_of(target)
    typed = {name: _typed(item, hints.get(name)) for name, item in named.items()}
    # what an optimizer is given by its library belongs to the version of that library
    return {**_defaults(target), **typed} if fill and not value.get("_partial_") else typed


def _typed(value: Any, hint: Any) -> Any:
    """Return ``value`` as a number of the kind that ``hint`` asks for."""
    origin, arguments = get_origin(hint), get_args(hint)
    options = arguments if origin in (Union, UnionType) else (hint,)
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if float in options and int not in options else value
    if isinstance(value, list):
        items = [get_args(option) for option in options if get_origin(option) in _LISTS]
        return [_typed(item, items[0][0]) for item in value] if items and items[0] else value
    return value


_LISTS = (list, tuple, Sequence)


def _resolved(name: str) -> Any:
    try:
        target = resolve_name(name)
    except (ImportError, AttributeError, ValueError):
        return None
    return target if callable(target) else None


@lru_cache(maxsize=1024)
def _frozen_defaults(target: Any) -> tuple[tuple[str, Any], ...]:
    return tuple(_each_default(target))


def _defaults(target: Any) -> dict[str, Any]:
    # anew each time, so that nobody changes what is remembered
    return {name: _canonical(value, fill=True) for name, value in _frozen_defaults(target)}


def _each_default(target: Any) -> list[tuple[str, Any]]:
    """Return the settings that ``target`` has where nothing is said, those that are plain data."""
    if is_dataclass(target):
        values = {}
        for field in fields(target):
            if field.init and field.default is not MISSING:
                values[field.name] = field.default
            elif field.init and field.default_factory is not MISSING:
                values[field.name] = field.default_factory()
    else:
        try:
            parameters = inspect.signature(target).parameters.values()
        except (TypeError, ValueError):  # written in C
            return []
        values = {p.name: p.default for p in parameters if p.default is not p.empty}
    hints = hints_of(target)
    plain = []
    for name, value in values.items():
        try:
            plain.append((name, _typed(_settings(value, name), hints.get(name))))
        except ConfigError:
            continue  # no plain data: it cannot be set in YAML either
    return plain
