"""Samplers and pruners of Optuna, built from their YAML files."""

import hashlib
import itertools
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, NopPruner, WilcoxonPruner
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial

from erasure.config.build import build
from erasure.core.errors import ConfigError, ErasureError
from erasure.trial.objective import Direction
from erasure.tuning.conditions import active_settings, draw
from erasure.tuning.search_space import Space, Value
from erasure.tuning.storage import CONSTRAINTS

STEPS_PER_SEED = 100
"""Steps between the ends of two seeds; what is reported in between has the steps below."""


def build_sampler(
    node: Mapping[str, Any], space: Space, study: str, number: int, *, constrained: bool = False
) -> BaseSampler:
    """Build the sampler that draws the trial ``number`` of ``study``, ``constrained`` or not.

    Each trial has a sampler with a seed of its own, a function of the node's ``seed``, the study
    and the number of the trial. What is drawn after a resume therefore repeats nothing, and two
    processes on one study never draw alike.

    Raises:
        ConfigError: If the sampler cannot be built; the message names the setting.
    """
    plain = dict(node)
    base = plain.pop("seed", None)
    if base is not None and (isinstance(base, bool) or not isinstance(base, int)):
        raise ConfigError(f"hydra.sweeper.sampler.seed must be a whole number, got {base!r}")
    trial_seed, study_seed = _entropy(base, study, number), _entropy(base, study)
    sequence = plain.get("_target_", "").endswith(QMCSampler.__name__)
    # build hands a sampler those of these that it accepts and its node does not set
    offered: dict[str, Any] = {
        # A sequence is one sequence for all trials; how far it is, Optuna keeps in the storage
        "seed": study_seed if sequence else trial_seed,
        "independent_sampler": RandomSampler(seed=trial_seed),
        "warn_independent_sampling": False,
        "warn_asynchronous_seeding": False,
        "space": lambda: space,  # wrapped: Hydra would take a mapping for configuration
        "study_seed": study_seed,
    }
    if constrained and not hasattr(Trial, "set_constraint"):  # Optuna before 5
        offered["constraints_func"] = _constraints
    with quiet_optuna():
        sampler: BaseSampler = build(plain, "hydra.sweeper.sampler", **offered)
    return sampler


def build_pruner(node: Mapping[str, Any], num_seeds: int) -> BasePruner:
    """Build the pruner of a study whose trials run with ``num_seeds`` seeds.

    Raises:
        ConfigError: If it cannot be built; the message names the setting.
    """
    offered = {"max_resource": STEPS_PER_SEED * num_seeds}
    with quiet_optuna():
        pruner: BasePruner = build(node, "hydra.sweeper.pruner", **offered)
    return pruner


def is_pruning(pruner: BasePruner) -> bool:
    """Tell whether a pruner ever stops a trial."""
    return not isinstance(pruner, NopPruner)


def is_by_seed(pruner: BasePruner) -> bool:
    """Tell whether a pruner compares trials seed by seed instead of step by step."""
    return isinstance(pruner, WilcoxonPruner)


def rehearse(
    sampler: BaseSampler,
    pruner: BasePruner,
    space: Space,
    directions: Sequence[Direction],
) -> None:
    """Draw from a study in memory, so that what does not go together shows before a trial runs.

    Raises:
        ConfigError: If the pruner or the sampler cannot handle so many objectives, or the space.
    """
    if is_pruning(pruner) and len(directions) > 1:
        raise ConfigError(
            "hydra/sweeper/pruner must be none with several objectives, because Optuna prunes by "
            f"one value; got {type(pruner).__name__} and {len(directions)} objectives"
        )
    try:
        with quiet_optuna():
            study = optuna.create_study(directions=list(directions), sampler=sampler)
            for _ in range(2):
                # the second draw has a trial to learn from, as all later ones have
                trial = study.ask()
                draw(space, trial)
                study.tell(trial, [0.5] * len(directions))
    except ErasureError:
        raise
    except Exception as error:
        name = type(sampler).__name__
        raise ConfigError(f"hydra/sweeper/sampler={name} cannot search here: {error}") from error


def most_trials(sampler: BaseSampler, wanted: int) -> int:
    """Return ``wanted``, or the trials after which a sampler has nothing left to draw."""
    return min(wanted, sampler.trials) if isinstance(sampler, PointGridSampler) else wanted


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna's remarks on what is experimental, and its log, from the user."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", FutureWarning)
        yield


class PointGridSampler(BaseSampler):
    """Visit every combination once, in an order that is a function of the seed.

    The number of a trial says which combination it has, so nothing is replayed after a resume
    and processes that share a study share the grid. Trial 0 is left to the method's defaults.
    Optuna's ``GridSampler`` cannot do that: it refuses an enqueued trial that leaves a value open,
    and stops a study through ``Study.stop``, which raises outside of ``optimize``.

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
        combinations = itertools.product(*values)
        cells = (_without_inactive(axes, cell) for cell in combinations)
        # combinations that differ only in axes that are not there are one
        self._cells = list({tuple(cell.items()): cell for cell in cells}.values())
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
        # modulo: a study that was given more trials than there are cells begins anew
        cell = self._cells[(trial.number - 1) % len(self._cells)]
        return cell[param_name]


def _without_inactive(axes: Space, cell: Sequence[Value]) -> dict[str, Value]:
    """Return what is drawn of a combination, by name."""
    drawn = dict(zip(axes, cell, strict=True))
    settings = {name: axes[name].setting(value) for name, value in drawn.items()}
    return {name: drawn[name] for name in active_settings(axes, settings)}


def _constraints(trial: FrozenTrial) -> Sequence[float]:
    return list(trial.user_attrs.get(CONSTRAINTS, {}).values())


def _entropy(*path: object) -> int:
    # 4 bytes: NumPy's legacy generator, which samplers seed, takes no more than 32 bits
    digest = hashlib.blake2b("\0".join(map(str, path)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")
