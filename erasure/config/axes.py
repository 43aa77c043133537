"""The combinations of values a sweep spans: axes, axes that step together, and several grids."""

import itertools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from erasure.config.overrides import Loader, override_value, parse_overrides, split_overrides
from erasure.core.errors import ConfigError

Axes: TypeAlias = Mapping[str, Sequence[str]]
"""Overrides by the key they set; a key with several overrides is swept."""

Groups: TypeAlias = Sequence[Sequence[str]]
"""Keys that step together, group by group."""


@dataclass(frozen=True, kw_only=True)
class SweeperAxes:
    """What the configuration of a sweeper says about axes.

    Args:
        params: Overrides of every sweep, key to value or ``a,b,c``.
        paired: Keys that step together, ``hydra.sweeper.zip``: one list of them, or several.
        grids: Overrides of each of several grids, as text or as a mapping; without any, there is
            one grid.

    Raises:
        ConfigError: If ``zip`` or ``grids`` are not of this form.
    """

    params: Mapping[str, Any] = field(default_factory=dict)
    paired: Any = None
    grids: Any = None

    def __post_init__(self) -> None:
        self.groups()
        self.entries()

    def groups(self) -> Groups:
        """Return the keys that step together."""
        return _groups(self.paired)

    def entries(self) -> list[tuple[Mapping[str, Any], list[str]]]:
        """Return what each grid has of its own: as a mapping, and as overrides."""
        if self.grids is None:
            return [({}, [])]
        if not isinstance(self.grids, Sequence) or isinstance(self.grids, str) or not self.grids:
            raise ConfigError(
                "hydra.sweeper.grids must be a list of grids such as "
                f"['unlearner=scrub seed=0,1','unlearner=ssd'], got {self.grids!r}"
            )
        return [_entry(grid) for grid in self.grids]


@dataclass(frozen=True, kw_only=True)
class AxisProduct:
    """Every combination of the values of axes.

    Args:
        axes: The axes.
        paired: Keys of axes that step together.
    """

    axes: Axes
    paired: Groups = ()

    def overrides(self) -> list[tuple[str, ...]]:
        """Return the overrides of each combination; the last axis varies fastest.

        Axes that step together are one axis, in place of the first of them.
        """
        group_of = {key: group for group in self.paired for key in group}
        columns: dict[str, list[tuple[str, ...]]] = {}
        for key, choices in self.axes.items():
            group = group_of.get(key, (key,))
            if key not in group_of:
                columns[key] = [(choice,) for choice in dict.fromkeys(choices)]
            elif group[0] not in columns:
                steps = zip(*(self.axes[name] for name in group), strict=True)
                columns[group[0]] = list(dict.fromkeys(steps))
        joined = (itertools.chain(*steps) for steps in itertools.product(*columns.values()))
        return [tuple(overrides) for overrides in joined]


def read_products(
    loader: Loader, sweeper: SweeperAxes, arguments: Sequence[str]
) -> list[AxisProduct]:
    """Parse the overrides of a grid, or of several.

    Args:
        loader: Knows the options of a config group, for ``unlearner=glob(s*)``.
        sweeper: Overrides from config files.
        arguments: Overrides from the command line; they win over those of the files.

    Raises:
        ConfigError: If an axis is empty, is an interval, which has no finite grid, or should
            step with one of another length.
    """
    every = []
    for mapping, texts in sweeper.entries():
        defaults = [*override_texts(sweeper.params), *override_texts(mapping), *texts]
        parsed = parse_overrides(loader, [*defaults, *arguments])
        # of one key the last override counts, so the command line wins
        every.append({override.target: override.choices() for override in parsed})
    return products_of(every, sweeper.groups())


def products_of(
    every: Sequence[Axes], groups: Groups, drawn: Iterable[str] = ()
) -> list[AxisProduct]:
    """Pair the axes of each grid.

    Args:
        every: The axes, grid by grid.
        groups: Keys that step together. A grid of several that sweeps none of them is left alone.
        drawn: Keys a search draws, which therefore cannot step.

    Raises:
        ConfigError: If a key has not several values, or two differ in how many they have.
    """
    paired: list[list[Sequence[str]]] = [[] for _ in every]
    for group in groups:
        where = [index for index, axes in enumerate(every) if _swept_keys(axes, group)]
        for index in where or [0]:
            _check_group(every[index], group, frozenset(drawn))
            paired[index].append(group)
    return [
        AxisProduct(axes=axes, paired=its_own) for axes, its_own in zip(every, paired, strict=True)
    ]


def override_texts(params: Mapping[str, Any]) -> list[str]:
    """Return ``params`` as overrides: text as on a command line, other values in its grammar."""
    return [
        f"{key}={value if isinstance(value, str) else override_value(value)}"
        for key, value in flat(params).items()
    ]


def flat(
    params: Mapping[str, Any], is_value: Callable[[Mapping[str, Any]], bool] = operator.not_
) -> dict[str, Any]:
    """Return ``params`` by dotted setting, however they are nested.

    Args:
        params: Settings, dotted or nested.
        is_value: Tells which mappings are values; without it, empty ones.
    """
    settings: dict[str, Any] = {}
    for key, value in params.items():
        if isinstance(value, Mapping) and not is_value(value):
            settings |= {f"{key}.{name}": v for name, v in flat(value, is_value).items()}
        else:
            settings[str(key)] = value
    return settings


def swept(axes: Axes) -> dict[str, Sequence[str]]:
    """Return the axes with more than one value."""
    return {key: choices for key, choices in axes.items() if len(choices) > 1}


def merged(products: Sequence[AxisProduct]) -> Axes:
    """Return the values that each key has, in one grid or another."""
    choices: dict[str, dict[str, None]] = {}
    for product in products:
        for key, own in product.axes.items():
            choices.setdefault(key, {}).update(dict.fromkeys(own))
    return {key: list(every) for key, every in choices.items()}


def varying(products: Sequence[AxisProduct]) -> tuple[str, ...]:
    """Return the overrides that tell trials apart: not those that all of them have."""
    return tuple(
        choice
        for key, choices in merged(products).items()
        for choice in choices
        if len(choices) > 1 or not all(key in product.axes for product in products)
    )


def _swept_keys(axes: Axes, group: Sequence[str]) -> list[str]:
    return [key for key in group if len(axes.get(key, ())) > 1]


def _check_group(axes: Axes, group: Sequence[str], drawn: frozenset[str]) -> None:
    """Refuse keys that cannot step together."""
    for key in group:
        if len(axes.get(key, ())) < 2:
            if key in drawn:
                raise ConfigError(
                    f"hydra.sweeper.zip names {key}, which is drawn and takes no steps; list its "
                    f"values, {key}=a,b"
                )
            raise ConfigError(
                f"hydra.sweeper.zip names {key}, which must have several values, such as "
                f"{key}=a,b; got {', '.join(axes.get(key, ())) or 'none'}"
            )
    lengths = {key: len(axes[key]) for key in group}
    if len(set(lengths.values())) > 1:
        counted = ", ".join(f"{key} has {length}" for key, length in lengths.items())
        raise ConfigError(f"keys of hydra.sweeper.zip need equally many values: {counted}")


def _groups(paired: Any) -> Groups:
    if paired is None:
        return []
    listed = isinstance(paired, Sequence) and not isinstance(paired, str) and len(paired) > 0
    groups = list(paired) if listed and not isinstance(paired[0], str) else [paired]
    if not listed or not all(_is_group(group) for group in groups):
        raise ConfigError(
            "hydra.sweeper.zip must be a list of two keys or more, [model,trainer.fit.epochs], "
            f"or a list of such lists, got {paired!r}"
        )
    groups = [[key.lstrip("+") for key in group] for group in groups]
    keys = [key for group in groups for key in group]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ConfigError(f"hydra.sweeper.zip must name each key once, got {twice[0]} twice")
    return groups


def _is_group(group: Any) -> bool:
    listed = isinstance(group, Sequence) and not isinstance(group, str)
    return listed and len(group) > 1 and all(isinstance(key, str) for key in group)


def _entry(grid: Any) -> tuple[Mapping[str, Any], list[str]]:
    if isinstance(grid, str):
        return {}, split_overrides(grid)
    if isinstance(grid, Mapping):
        return grid, []
    raise ConfigError(
        "a grid of hydra.sweeper.grids must be text, 'unlearner=scrub seed=0,1', or a mapping, "
        f"{{unlearner: scrub}}, got {grid!r}"
    )
