"""Settings of a configuration by dotted name, for those who need no OmegaConf themselves."""

import copy
from collections.abc import Mapping
from typing import Any, TypeAlias, cast

from omegaconf import DictConfig, OmegaConf

from erasure.config.overrides import Loader

Config: TypeAlias = DictConfig
"""A configuration, or a part of one."""

ABSENT = object()
"""A setting that is not there; None is a value that settings have."""


def selected(config: Config, name: str) -> Any:
    """Return a setting of ``config``, or ``ABSENT``."""
    return OmegaConf.select(config, name, default=ABSENT)


def option_or_setting(config: Config, name: str) -> Any:
    """Return the option that was chosen in a config group, or a setting, or ``ABSENT``."""
    options = config.hydra.runtime.choices
    return options[name] if name in options else selected(config, name)


def is_level(value: object) -> bool:
    """Tell whether a value holds settings and is none itself."""
    return isinstance(value, DictConfig)


def changed(config: Config, settings: Mapping[str, Any]) -> Config:
    """Return a copy of ``config`` with other settings."""
    copied = copy.deepcopy(config)
    for name, value in settings.items():
        OmegaConf.update(copied, name, value)
    return copied


def read_yaml(loader: Loader, path: str) -> dict[str, Any] | None:
    """Return ``<path>.yaml`` on Hydra's search path as plain data, or None if there is none."""
    for source in loader.get_sources():
        if source.available() and source.is_config(path):
            content = OmegaConf.to_container(source.load_config(path).config)
            return cast("dict[str, Any]", content or {})
    return None
