"""The command line of a tuning sweep: what is fixed, what are studies, what is drawn."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    IntervalSweep,
    Override,
    QuotedString,
    RangeSweep,
    Sweep,
)

from erasure.config.overrides import Axes, axis_of
from erasure.core.errors import ConfigError
from erasure.tuning.search_space import Axis, Space, Value, is_axis, read_axes_of

DEFAULTS = {"evaluator": "evaluator=fast", "pictures": "pictures=false"}
"""What a tuning sweep sets unless told otherwise: it looks at validation data, draws nothing."""


@dataclass(frozen=True, kw_only=True)
class SweepCommand:
    """What a command line asks for.

    Args:
        axes: Overrides by key; a key with several is one study each.
        space: Axes that are added to the search space of a method, or replace some of its.
        dropped: Settings that are not drawn: they were set, or taken away.
    """

    axes: Axes
    space: Space
    dropped: frozenset[str]


def read_command(
    loader: ConfigLoader, params: Mapping[str, Any] | None, arguments: Sequence[str]
) -> SweepCommand:
    """Parse the overrides of a tuning sweep.

    ``unlearner=scrub,ssd`` is two studies. ``unlearner.alpha=interval(0.1,1)``, ``range(1,9)``
    and ``choice(16,64)`` are axes of the search space, ``tag(log,interval(1e-4,1))`` is one on a
    logarithmic scale, and ``unlearner.alpha=0.5`` takes alpha out of it. As in a grid, a range
    ends before its last number.

    Args:
        loader: Knows the options of a config group, for ``unlearner=glob(s*)``.
        params: ``hydra.sweeper.params``: axes as mappings, or text as on the command line; None
            takes a setting out of the search space. The command line wins.
        arguments: The overrides of the command line.

    Raises:
        ConfigError: If a seed is set, or an axis makes no sense.
    """
    defaults, space, dropped = _params(params or {})
    parsed = OverridesParser.create(config_loader=loader).parse_overrides([*defaults, *arguments])
    axes: dict[str, Sequence[str]] = {}
    for override in parsed:
        key = str(override.key_or_group)
        _refuse_seed(key, override)
        if _is_drawn(override):
            space[key] = _axis(key, override)
            dropped.discard(key)
            axes.pop(key, None)
        else:
            target, choices = axis_of(override)
            axes[target] = choices
            space.pop(key, None)
            dropped.add(key)
    set_keys = {key.partition("@")[0].lstrip("~") for key in axes}
    added = {key: [text] for key, text in DEFAULTS.items() if key not in set_keys}
    return SweepCommand(axes={**added, **axes}, space=space, dropped=frozenset(dropped))


def _params(params: Mapping[str, Any]) -> tuple[list[str], dict[str, Axis], set[str]]:
    """Sort ``params`` into overrides, axes and settings that are taken away."""
    texts: list[str] = []
    space: dict[str, Axis] = {}
    dropped: set[str] = set()
    for key, value in _flat(params):
        if value is None:
            dropped.add(key)
        elif isinstance(value, Mapping):
            space.update(read_axes_of({key: value}, "hydra.sweeper.params"))
        else:
            texts.append(f"{key}={value}")
    return texts, space, dropped


def _flat(params: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in params.items():
        name = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping) and not is_axis(value):
            yield from _flat(value, name)
        else:
            yield name, value


def _refuse_seed(key: str, override: Override) -> None:
    if key == "seed":
        raise ConfigError(
            "seed must not be set in a tuning sweep, where every setting runs with each of "
            f"hydra.sweeper.seeds; got {override.input_line}, say for example "
            "'hydra.sweeper.seeds=[100,101]'"
        )


def _is_drawn(override: Override) -> bool:
    value = override.value()
    if isinstance(value, ChoiceSweep):
        # a,b is simple and makes studies, choice(a,b) is an axis
        return not value.simple_form
    return isinstance(value, IntervalSweep | RangeSweep)


def _axis(key: str, override: Override) -> Axis:
    value = override.value()
    try:
        return _read(value)
    except (ConfigError, TypeError) as error:
        raise ConfigError(f"{key}={override.get_value_string()}: {error}") from error


def _read(sweep: Any) -> Axis:
    _refuse_order(sweep)
    log = "log" in sweep.tags
    if isinstance(sweep, ChoiceSweep):
        return Axis(choices=[_plain(value) for value in sweep.list])
    if isinstance(sweep, IntervalSweep):
        whole = isinstance(sweep.start, int) and isinstance(sweep.end, int)
        return Axis(low=sweep.start, high=sweep.end, log=log, int=whole)
    start, stop, step = sweep.start or 0, sweep.stop, sweep.step
    if stop is None or step is None or step <= 0:
        raise ConfigError("a range of a search space needs an end and a step above 0")
    whole = all(isinstance(number, int) for number in (start, stop, step))
    # -((start - stop) // step) is (stop - start) / step rounded up: how many values there are
    last = start + step * int(-((start - stop) // step) - 1)  # the end itself is left out
    # a step of 1 goes without saying for whole numbers, and a logarithmic axis takes none
    every = log or (whole and step == 1)
    return Axis(low=start, high=last, log=log, int=whole, step=None if every else step)


def _refuse_order(sweep: Sweep) -> None:
    if getattr(sweep, "shuffle", False):
        raise ConfigError("the values of a search space have no order to shuffle")


def _plain(value: Any) -> Value:
    if isinstance(value, QuotedString):
        return value.text
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ConfigError(f"a choice must be a single value, got {value}")
