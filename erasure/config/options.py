"""One option of a group, built from its YAML file without a command line or a whole trial."""

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from numbers import Integral, Real
from typing import Any, cast

from hydra.core.default_element import ConfigDefault, GroupDefault
from hydra.core.object_type import ObjectType
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from erasure.config.build import build, check_arguments, owner
from erasure.config.canonical import canonical
from erasure.config.loading import load_config, loader
from erasure.core.errors import ConfigError

NEEDS_A_CLASS = ("custom",)
"""Options of the command line that name nothing by themselves; in Python one passes the object."""


def build_option(group: str, name: str, settings: Mapping[str, Any] | None = None) -> Any:
    """Build what ``group=name`` names on the command line, with some of its settings replaced.

    Args:
        group: A folder of ``conf``, such as ``unlearner``.
        name: A file of it, ours or of an outside package.
        settings: Values by name; a mapping goes into the settings of the same name, so that
            ``{"fit": {"epochs": 3}}`` leaves the rest of ``fit``. What is no plain value, such
            as an optimizer, replaces the whole.

    Raises:
        ConfigError: If there is no such option, or a setting is wrong.
    """
    allowed = option_names(group)
    if name not in allowed:
        close = get_close_matches(name, allowed, n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ConfigError(f"there is no {group} {name!r}{hint}; there are {', '.join(allowed)}")
    values, objects = _sorted_by_kind(settings or {}, name)
    # under its own name, which is what messages begin with: scrub.fit.epochs must be ...
    root = OmegaConf.create({name: _option(group, name)})
    node = cast("DictConfig", OmegaConf.merge(root, {name: values}))[name]
    check_arguments(get_object(str(node["_target_"])), objects, name)
    built = build(node, name)
    # afterwards, because Hydra would make plain mappings of dataclasses
    return with_settings(built, objects, name) if objects else built


def with_settings(component: Any, settings: Mapping[str, Any], key: str) -> Any:
    """Return a dataclass with other values in some of its fields.

    Args:
        component: The object.
        settings: The new values by name.
        key: What it is called in messages.

    Raises:
        ConfigError: If it has no such setting, or does not take a value.
    """
    check_arguments(type(component), settings, key)
    if not is_dataclass(component) or isinstance(component, type):
        raise ConfigError(f"{key} is no dataclass, whose settings could be replaced")
    with owner(key, settings):
        return replace(component, **settings)


def option_names(group: str) -> list[str]:
    """Return the names that :func:`build_option` takes, ours and those of outside packages."""
    names = loader().get_group_options(group, results_filter=ObjectType.CONFIG)
    return [name for name in names if not name.startswith("_") and name not in NEEDS_A_CLASS]


def option_like(group: str, settings: Mapping[str, Any]) -> str:
    """Return the option of a group that a component is, or the name of its class.

    That is the option with these very settings; where there is none, the one option with its
    class, or of several the one that is called like it.

    Args:
        group: A folder of ``conf``.
        settings: The component, in canonical form.
    """
    target = str(settings["_target_"])
    same_class = {
        name: stated
        for name in option_names(group)
        if (stated := _stated(group, name)).get("_target_") == target
    }
    equal = [name for name, stated in same_class.items() if _agree(stated, settings)]
    if equal:  # what leaves the least open says the most
        return min(equal, key=lambda name: _left_open(same_class[name]))
    class_name = target.rpartition(".")[2]
    alike = [name for name in same_class if name.replace("_", "") == class_name.lower()]
    candidates = alike or list(same_class)
    return candidates[0] if len(candidates) == 1 else class_name


@lru_cache(maxsize=1024)
def _stated(group: str, name: str) -> Mapping[str, Any]:
    """Return what an option says in its files, in canonical form."""
    content = OmegaConf.to_container(_content(f"{group}/{name}"), resolve=False)
    return cast("dict[str, Any]", canonical({group: content})[group])


def _content(path: str) -> DictConfig:
    """Return a file of a group with those that it starts from.

    It is not composed: a data set chooses a model, which Hydra allows nowhere but in a whole
    configuration.
    """
    loaded = loader().repository.load_config(path)
    if loaded is None:
        return OmegaConf.create()
    folder = path.rpartition("/")[0]
    parts: list[Any] = []
    for default in loaded.defaults_list or ():
        if isinstance(default, ConfigDefault) and not default.is_self():
            parts.append(_content(f"{folder}/{default.path}"))
        elif isinstance(default, GroupDefault) and not default.is_override():
            inner = _content(f"{str(default.group).strip('/')}/{default.value}")
            place = str(default.package or "")
            parts.append(_nested(inner, place.split(".")) if place else inner)
    return cast("DictConfig", OmegaConf.merge(*parts, loaded.config))


def _nested(content: DictConfig, names: Sequence[str]) -> Mapping[str, Any]:
    value: Any = content
    for name in reversed(names):
        value = {name: value}
    return cast("Mapping[str, Any]", value)


def _agree(stated: Any, settings: Any) -> bool:
    """Tell whether settings are those that are stated, as far as these say anything."""
    if isinstance(stated, Mapping) and isinstance(settings, Mapping):
        return stated.keys() == settings.keys() and all(
            _agree(value, settings[name]) for name, value in stated.items()
        )
    return _is_open(stated) or bool(stated == settings)


def _left_open(stated: Any) -> int:
    if isinstance(stated, Mapping):
        return sum(_left_open(value) for value in stated.values())
    return int(_is_open(stated))


def _is_open(value: Any) -> bool:
    """Tell whether a value is to be set, or refers to one that stands elsewhere."""
    return isinstance(value, str) and (value == "???" or "${" in value)


def _sorted_by_kind(
    settings: Mapping[str, Any], key: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings that a YAML file could hold, and those that it could not."""
    values, objects = {}, {}
    for name, value in settings.items():
        if _is_plain(value):
            values[name] = _plain(value)
        elif isinstance(value, Mapping):
            raise ConfigError(
                f"{key}.{name} must hold plain values, got {value!r}; to pass an object, make "
                f"the whole of {name} one"
            )
        else:
            objects[name] = value
    return values, objects


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(inner) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return all(_is_plain(inner) for inner in value)
    return value is None or isinstance(value, bool | str | Real)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, Real) and not isinstance(value, bool):
        # numbers of numpy, which come out of ranges that somebody loops over
        return int(value) if isinstance(value, Integral) else float(value)
    return value


def _option(group: str, name: str) -> DictConfig:
    """Return the settings of an option as its file and the files it names have them."""
    # model and trainer have to be there, because another option may choose others of them
    needed = {"model": "mlp", "trainer": "adam"}
    chosen = [f"+{each}={option}" for each, option in {**needed, group: name}.items()]
    cfg = load_config(None, chosen)
    OmegaConf.set_struct(cfg, value=False)
    return cast("DictConfig", cfg[group])
