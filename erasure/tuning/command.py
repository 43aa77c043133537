"""The command line of a tuning sweep: what is fixed, what are studies, what is drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from erasure.config.axes import Axes, AxisProduct, SweeperAxes, flat, override_texts, products_of
from erasure.config.overrides import Loader, SweepOverride, parse_overrides
from erasure.core.errors import ConfigError
from erasure.tuning.search_space import Axis, Space, is_axis, read_axes_of

DEFAULTS = {"evaluator": "evaluator=fast", "pictures": "pictures=false"}
"""What a tuning sweep sets unless told otherwise: it looks at validation data, draws nothing."""


@dataclass(frozen=True, kw_only=True)
class SweepCommand:
    """What a command line asks for.

    Args:
        product: What is fixed; every combination of what has several values is one study.
        space: Axes that are added to the search space of a method, or replace some of its.
        dropped: Settings that are not drawn: they were set, or taken away.
    """

    product: AxisProduct
    space: Space
    dropped: frozenset[str]

    @property
    def axes(self) -> Axes:
        """Overrides by key; a key with several is one study each."""
        return self.product.axes


def read_commands(
    loader: Loader, sweeper: SweeperAxes, arguments: Sequence[str]
) -> list[SweepCommand]:
    """Parse the overrides of a tuning sweep, once for each of ``hydra.sweeper.grids``.

    ``unlearner=scrub,ssd`` is two studies. ``unlearner.alpha=interval(0.1,1)``, ``range(1,9)``
    and ``choice(16,64)`` are axes of the search space, ``tag(log,interval(1e-4,1))`` is one on a
    logarithmic scale, and ``unlearner.alpha=0.5`` takes alpha out of it. As in a grid, a range
    ends before its last number.

    Args:
        loader: Knows the options of a config group, for ``unlearner=glob(s*)``.
        sweeper: ``hydra.sweeper``: in ``params`` axes as mappings, or text as on the command
            line; None takes a setting out of the search space. The command line wins.
        arguments: The overrides of the command line.

    Raises:
        ConfigError: If a seed is set, or an axis makes no sense.
    """
    parts = [
        _read(
            loader,
            {**flat(sweeper.params, is_axis), **flat(mapping, is_axis)},
            [*texts, *arguments],
        )
        for mapping, texts in sweeper.entries()
    ]
    drawn = {key for _, space, _ in parts for key in space}
    products = products_of([axes for axes, _, _ in parts], sweeper.groups(), drawn)
    return [
        SweepCommand(product=product, space=space, dropped=frozenset(dropped))
        for product, (_, space, dropped) in zip(products, parts, strict=True)
    ]


def _read(
    loader: Loader, params: Mapping[str, Any], arguments: Sequence[str]
) -> tuple[Axes, Space, set[str]]:
    """Return what is set, what is drawn, and what is drawn no more."""
    axis_params = {key: value for key, value in params.items() if isinstance(value, Mapping)}
    space = dict(read_axes_of(axis_params, "hydra.sweeper.params"))
    dropped = {key for key, value in params.items() if value is None}
    fixed = {k: v for k, v in params.items() if k not in axis_params and k not in dropped}
    axes: dict[str, Sequence[str]] = {}
    for override in parse_overrides(loader, [*override_texts(fixed), *arguments]):
        key = override.key
        _refuse_seed(override)
        axis = _axis(override)
        if axis is not None:
            space[key] = axis
            dropped.discard(key)
            axes.pop(key, None)
        else:
            axes[override.target] = override.choices()
            space.pop(key, None)
            dropped.add(key)
    set_keys = {key.partition("@")[0].lstrip("~") for key in axes}
    added = {key: [text] for key, text in DEFAULTS.items() if key not in set_keys}
    return {**added, **axes}, space, dropped


def _refuse_seed(override: SweepOverride) -> None:
    if override.key == "seed":
        raise ConfigError(
            "seed must not be set in a tuning sweep, where every setting runs with each of "
            f"hydra.sweeper.seeds; got {override.text}, say for example "
            "'hydra.sweeper.seeds=[100,101]'"
        )


def _axis(override: SweepOverride) -> Axis | None:
    try:
        node = override.axis()
        return None if node is None else Axis(**node)
    except (ConfigError, TypeError) as error:
        raise ConfigError(f"{override.key}={override.value_text}: {error}") from error
