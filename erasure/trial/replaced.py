"""The settings of a trial with other components in place of some."""

from collections.abc import Iterable, Mapping
from typing import Any

from erasure.config.build import check_arguments
from erasure.config.canonical import canonical, settings_of
from erasure.config.options import option_like
from erasure.config.schema import Config, DataKeys, ReferenceKeys, SeedKeys, StoreKeys
from erasure.core.errors import ConfigError
from erasure.trial.describe import GROUPS

WITHOUT_TARGET: Mapping[str, type] = {
    "seeds": SeedKeys,
    "references": ReferenceKeys,
    "store": StoreKeys,
    "data": DataKeys,
}
"""Groups of settings that are no component, with the types of their settings."""


def replaced(settings: Mapping[str, Any], components: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``settings`` with ``components`` in place of those of the same names.

    Raises:
        ConfigError: If there is no such group or setting, or a component is not made of settings.
    """
    changed = dict(settings)
    for name, component in components.items():
        if name not in settings:
            allowed = ", ".join(sorted(settings))
            raise ConfigError(f"{name} is no part of a trial; there are {allowed}")
        changed[name] = _in_place_of(settings[name], _stated(component, name), name)
    if "seed" in components and "seeds" not in components:
        changed["seeds"] = dict.fromkeys(settings["seeds"], changed["seed"])
    return canonical(changed)


def options_of(settings: Mapping[str, Any], groups: Iterable[str]) -> dict[str, str]:
    """Return the names of the options that stand for components, by their classes."""
    components = {group: settings[group] for group in groups if group in GROUPS}
    return {
        group: option_like(group, component)
        for group, component in components.items()
        if isinstance(component, Mapping) and "_target_" in component
    }


def _in_place_of(before: Any, settings: Any, name: str) -> Any:
    """Return what ``settings`` make of the group or setting ``name``, which was ``before``."""
    if name in WITHOUT_TARGET:
        if not isinstance(settings, Mapping):
            raise ConfigError(f"{name} must be a mapping of settings, got {settings!r}")
        check_arguments(WITHOUT_TARGET[name], settings, name)
        return {**before, **settings}
    is_component = isinstance(settings, Mapping) and "_target_" in settings
    if isinstance(before, Mapping) and not is_component:
        raise ConfigError(
            f"{name} must be a component or its settings with a _target_, got {settings!r}"
        )
    if not isinstance(before, Mapping):
        check_arguments(Config, {name: settings}, "trial")
    return settings


def _stated(component: Any, name: str) -> Any:
    """Return the settings of what takes the place of the group or setting ``name``."""
    settings = settings_of(component, name)
    if isinstance(settings, Mapping):
        # a model is built late, with what the data say: a class or partial is what builds it
        late = ("_partial_",) if name == "model" else ()
        left_out = (*late, *(("_target_",) if name in WITHOUT_TARGET else ()))
        return {key: value for key, value in settings.items() if key not in left_out}
    return settings
