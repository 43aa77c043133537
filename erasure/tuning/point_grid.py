"""A grid of evenly spaced values, shared by any number of processes."""

import itertools
import random
from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from erasure.core.errors import ConfigError
from erasure.tuning.search_space import Space, Value


class PointGridSampler(BaseSampler):
    """Visit every combination once, in an order that is a function of the seed.

    The number of a trial says which combination it has, so nothing is replayed after a resume
    and processes that share a study share the grid. Trial 0 is left to the method's defaults.

    Args:
        points: Values of a range; of choices all are taken.
        space: Returns the axes; Hydra would take the axes themselves for configuration.
        study_seed: Seed of the order.

    Raises:
        ConfigError: If ``points`` is below 1.
    """

    def __init__(self, *, points: int, space: Callable[[], Space], study_seed: int) -> None:
        if points < 1:
            raise ConfigError(f"points must be at least 1, got {points}")
        axes = space()
        values = [axis.points(points) for axis in axes.values()]
        self._names = list(axes)
        self._cells: list[tuple[Value, ...]] = list(itertools.product(*values))
        random.Random(study_seed).shuffle(self._cells)

    @property
    def trials(self) -> int:
        """Number of trials that visit every combination, the defaults included."""
        return 1 + len(self._cells)

    def infer_relative_search_space(
        self,
        study: Study,  # noqa: ARG002  # the protocol has it
        trial: FrozenTrial,  # noqa: ARG002
    ) -> dict[str, BaseDistribution]:
        """Return nothing: every value is drawn on its own."""
        return {}

    def sample_relative(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,  # noqa: ARG002
        search_space: Mapping[str, BaseDistribution],  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return nothing: every value is drawn on its own."""
        return {}

    def sample_independent(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,  # noqa: ARG002
    ) -> Any:
        """Return the value that the combination of this trial has."""
        cell = self._cells[(trial.number - 1) % len(self._cells)]
        return cell[self._names.index(param_name)]
