"""From a config node to an object, with errors that name the setting."""

import inspect
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from erasure.core.errors import ConfigError, ErasureError


def build(node: DictConfig | Mapping[str, Any], key: str, **offered: Any) -> Any:
    """Instantiate the ``_target_`` of ``node`` and everything inside it.

    This is the only place that instantiates. Before it does, every setting is checked against
    the signature of its target, so that a message names what is wrong.

    Args:
        node: A config with a ``_target_``, or the same as plain data.
        key: Its path, for messages.
        offered: Arguments the target gets if it accepts them and the config does not set them.

    Raises:
        ConfigError: If a name, type or value is wrong.
    """
    if not isinstance(node, DictConfig):  # below its key, by which Hydra tells what failed
        node = cast("DictConfig", OmegaConf.create({key: dict(node)})[key])
    plain = cast("dict[str, Any]", OmegaConf.to_container(node, resolve=True))
    if "_target_" not in plain:
        raise ConfigError(f"{key} must be an option with a _target_, got {plain!r}")
    _check(plain, key)
    extra = {name: offered[name] for name in _acceptable(plain["_target_"], offered)}
    # null in a configuration leaves a setting to what is offered
    extra = {name: value for name, value in extra.items() if plain.get(name) is None}
    try:
        with owner(key, plain):
            return instantiate(node, _convert_="all", **extra)
    except InstantiationException as error:
        raise _translated(error, key) from error


def check_arguments(target: Callable[..., Any], plain: Mapping[str, Any], key: str) -> None:
    """Refuse settings that ``target`` does not have, or whose type it does not take.

    Args:
        target: A class or function.
        plain: Its settings by name.
        key: The path of what they belong to, for messages.

    Raises:
        ConfigError: If there is one; the message says what is allowed and what may be meant.
    """
    parameters = _parameters(target)
    if parameters is None:
        return
    hints = hints_of(target)
    allowed = [name for name in parameters if name != "self"]
    for name, value in plain.items():
        # _target_, _partial_ and the like are for Hydra
        if name.startswith("_") and name.endswith("_"):
            continue
        if name not in parameters:
            close = get_close_matches(name, allowed, n=1)
            hint = f"; did you mean {key}.{close[0]}?" if close else ""
            settings = ", ".join(allowed) or "none"
            raise ConfigError(f"{key}.{name} is not a setting here, only {settings} are{hint}")
        expected = hints.get(name)
        if expected is not None and not _fits(value, expected):
            raise ConfigError(f"{key}.{name} must be {_describe_type(expected)}, got {value!r}")


@contextmanager
def owner(key: str, settings: Mapping[str, Any]) -> Iterator[None]:
    """Put the path ``key`` in front of the errors of a block about one of ``settings``."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(_prefixed(str(error), key, settings)) from error


def _prefixed(message: str, key: str, settings: Mapping[str, Any]) -> str:
    # messages of this package begin with the setting they are about
    first = re.match(r"\w+", message)
    if first and first.group() in settings:
        return f"{key}.{message}"
    return message if message.startswith(key) else f"{key}: {message}"


def _translated(error: InstantiationException, key: str) -> ErasureError:
    # Hydra names the node that failed, which may lie inside the one that is built
    match = re.search(r"full_key: (\S+)", str(error))
    path = match.group(1) if match else key
    cause = error.__cause__
    if isinstance(cause, ConfigError):
        return ConfigError(f"{path}.{cause}")
    if isinstance(cause, ErasureError):
        return cause
    if cause is not None:
        return ConfigError(f"{path} cannot be built: {type(cause).__name__}: {cause}")
    return ConfigError(f"{path} cannot be built: {str(error).splitlines()[0]}")


def _check(plain: Mapping[str, Any], key: str) -> None:
    if "_target_" in plain:
        _check_missing(plain, key)
        check_arguments(_target(str(plain["_target_"]), key), plain, key)
    for name, value in plain.items():
        if isinstance(value, Mapping):
            _check(value, f"{key}.{name}")


def _check_missing(plain: Mapping[str, Any], key: str) -> None:
    for name, value in plain.items():
        if value == "???":
            raise ConfigError(f"{key}.{name} must be set, it has no default")


def _target(path: str, key: str) -> Callable[..., Any]:
    log = logging.getLogger("hydra.utils")  # would print the error a first time
    before, log.disabled = log.disabled, True
    try:
        target = get_object(path)
    except (ImportError, ValueError) as error:
        reason = str(error.__cause__ or error).partition("\n")[0] or type(error).__name__
        raise ConfigError(f"{key}._target_={path} cannot be imported: {reason}") from error
    finally:
        log.disabled = before
    if not callable(target):
        raise ConfigError(f"{key}._target_={path} is not callable")
    return target  # type: ignore[no-any-return]


def _parameters(target: Callable[..., Any]) -> Mapping[str, inspect.Parameter] | None:
    try:
        parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):
        return None  # written in C
    kinds = {parameter.kind for parameter in parameters.values()}
    return None if inspect.Parameter.VAR_KEYWORD in kinds else parameters


def _acceptable(target: str, offered: Mapping[str, Any]) -> list[str]:
    parameters = _parameters(get_object(target))
    return [name for name in offered if parameters is None or name in parameters]


def hints_of(target: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the types of the settings of a class or function, as far as it says them."""
    try:
        return get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (NameError, TypeError):
        return {}  # annotations that only a type checker can resolve


def _fits(value: Any, hint: Any) -> bool:
    if isinstance(value, Mapping):
        return True  # a component, checked on its own
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, option) for option in arguments)
    if origin is Literal:
        return value in arguments
    if hint in (None, NoneType):
        return value is None
    if isinstance(value, list):
        inner = arguments[0] if arguments else Any
        wanted = origin in (list, tuple, Sequence) or hint in (Any, list, tuple)
        return wanted and all(_fits(item, inner) for item in value)
    return _is_a(value, hint)


def _is_a(value: Any, hint: Any) -> bool:
    if hint in (bool, int, float):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        number = number and math.isfinite(value)
        whole = number and isinstance(value, int)  # bool is an int in Python, and no number here
        return {bool: isinstance(value, bool), int: whole, float: number}[hint]
    if hint is str:
        return isinstance(value, str)
    scalar = isinstance(value, bool | int | float | str)
    container = get_origin(hint) in (list, tuple, Sequence, dict, Mapping)
    # of other classes nothing is known, except that a number or text is no container
    return not (scalar and container)


def _describe_type(hint: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(_describe_type(option) for option in arguments)
    if origin is Literal:
        return "one of " + ", ".join(str(option) for option in arguments)
    if hint in (None, NoneType):
        return "null"
    if origin in (list, tuple, Sequence):
        return f"a list{_describe_items(arguments)}"
    if origin in (dict, Mapping):
        return "a mapping of names to values"
    return names.get(hint, str(hint))


def _describe_items(arguments: Sequence[Any]) -> str:
    names = {int: "whole numbers", float: "numbers", str: "texts", NoneType: "null"}
    inner = arguments[0] if arguments else Any
    options = get_args(inner) if get_origin(inner) in (Union, UnionType) else (inner,)
    kinds = [names.get(option, "") for option in options]
    return f" of {' or '.join(kinds)}" if all(kinds) else ""
