"""What a search space must be before anything is drawn from it."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from erasure.config.build import build
from erasure.config.selection import ABSENT, Config, changed, is_level, selected
from erasure.config.settings import settings_of_config
from erasure.core.errors import ConfigError
from erasure.tuning.conditions import assumed
from erasure.tuning.search_space import Space, Value


def check_space(base: Config, space: Space, unlearner: str) -> None:
    """Refuse axes of what is no setting of ``base``, or whose ends cannot be built.

    Raises:
        ConfigError: With one message that names the axis.
    """
    for name, axis in space.items():
        value = selected(base, name)
        if value is ABSENT:
            close = get_close_matches(name, _settings(base), n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ConfigError(
                f"{name} in the search space of unlearner={unlearner} is not a setting{hint}"
            )
        if is_level(value):
            raise ConfigError(
                f"{name} cannot be drawn: it is a group; several values of it, as in "
                f"{name}=a,b, are studies of their own"
            )
        ends = [axis.setting(drawn) for drawn in axis.points(2)]
        _check_ends(base, name, ends, assumed(space, name))


def _check_ends(
    base: Config, name: str, ends: Sequence[Value], others: Mapping[str, Value]
) -> None:
    """Build the method at the ends of an axis, so that a bad range shows before a trial runs.

    Args:
        base: What is fixed.
        name: The setting that is drawn.
        ends: Its lowest and highest value.
        others: What other settings must be for it to be drawn at all.
    """
    if not name.startswith("unlearner.") or selected(base.unlearner, "_target_") is ABSENT:
        return
    for end in ends:
        settings = {
            key.removeprefix("unlearner."): value
            for key, value in {**others, name: end}.items()
            if key.startswith("unlearner.")
        }
        try:
            build(changed(base.unlearner, settings), "unlearner")
        except ConfigError as error:
            raise ConfigError(f"{error}; the search space allows {name}={end}") from error


def _settings(base: Config) -> list[str]:
    plain = settings_of_config(base)

    def paths(value: Any, path: str) -> list[str]:
        if isinstance(value, Mapping):
            return [leaf for key, inner in value.items() for leaf in paths(inner, f"{path}.{key}")]
        return [path]

    return [leaf for key, value in plain.items() for leaf in paths(value, key)]
