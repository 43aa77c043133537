"""From a name, a class or an object to a method with its settings."""

import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeAlias

from erasure.config.build import check_arguments, owner
from erasure.config.options import build_option, with_settings
from erasure.core.errors import ConfigError
from erasure.core.task import Unlearner

Method: TypeAlias = str | Unlearner | type[Unlearner]
"""A name, for the defaults of ``conf/unlearner/<name>.yaml``; a class; or an object."""


def build_method(
    method: Method, settings: Mapping[str, Any], batch_size: int | None = None
) -> Unlearner:
    """Return the method with its settings.

    Args:
        method: Which one.
        settings: Fields to set.
        batch_size: Samples per step, in all loops of the method; None for its own.

    Raises:
        ConfigError: If there is no such method or setting, or a value is wrong.
    """
    unlearner: Any
    if isinstance(method, str):
        unlearner = build_option("unlearner", method, settings)
    else:
        unlearner = _made(method, settings)
    if not callable(unlearner):
        raise ConfigError(
            f"method must be the name of an unlearner, a class or an object that is called with "
            f"an UnlearningTask, got {method!r}"
        )
    if batch_size is None:
        return unlearner  # type: ignore[no-any-return]
    changed = _in_batches(unlearner, batch_size)
    if changed is unlearner:
        raise ConfigError(f"{method_name(method)}.batch_size is not a setting: it has no batches")
    return changed  # type: ignore[no-any-return]


def method_name(method: Method) -> str:
    """Return what a method is called in messages."""
    if isinstance(method, str):
        return method
    return method.__name__ if inspect.isclass(method) else type(method).__name__


def _made(method: Any, settings: Mapping[str, Any]) -> Any:
    """Return an object of a class, or an object with other settings."""
    if not inspect.isclass(method) and not settings:
        return method
    name, target = method_name(method), method if inspect.isclass(method) else type(method)
    check_arguments(target, settings, name)
    for key, value in settings.items():
        if isinstance(value, Mapping) and not isinstance(getattr(method, key, None), Mapping):
            raise ConfigError(
                f"{name}.{key} must be an object here, got a mapping; only the settings of a "
                "method that is named by its YAML file can be set one by one"
            )
    if not inspect.isclass(method):
        return with_settings(method, settings, name)
    try:
        with owner(name, settings):
            return method(**settings)
    except TypeError as error:  # a field without default
        raise ConfigError(f"{name} cannot be built: {error}") from error


def _in_batches(part: Any, size: int) -> Any:
    """Return ``part`` with every ``batch_size`` in it set, or itself if it has none."""
    if isinstance(part, Mapping):
        inner = {key: _in_batches(value, size) for key, value in part.items()}
        return inner if any(inner[key] is not part[key] for key in part) else part
    if not is_dataclass(part) or isinstance(part, type):
        return part
    changes = {}
    for field in fields(part):
        value = getattr(part, field.name)
        new = size if field.name == "batch_size" else _in_batches(value, size)
        if new is not value:
            changes[field.name] = new
    return replace(part, **changes) if changes else part
