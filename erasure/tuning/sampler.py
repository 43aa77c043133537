"""Samplers and pruners of Optuna, built from their YAML files."""

import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from omegaconf import OmegaConf
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, NopPruner, WilcoxonPruner
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler
from optuna.trial import FrozenTrial, Trial

from erasure.config.build import build
from erasure.core.errors import ConfigError, ErasureError
from erasure.trial.objective import Direction
from erasure.tuning.notes import CONSTRAINTS
from erasure.tuning.point_grid import PointGridSampler
from erasure.tuning.search_space import Space

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
    own, common = _entropy(base, study, number), _entropy(base, study)
    sequence = plain.get("_target_", "").endswith(QMCSampler.__name__)
    offered: dict[str, Any] = {
        "seed": common if sequence else own,  # a sequence is one sequence, its place is stored
        "independent_sampler": RandomSampler(seed=own),
        "warn_independent_sampling": False,
        "warn_asynchronous_seeding": False,
        "space": lambda: space,
        "study_seed": common,
    }
    if constrained and not hasattr(Trial, "set_constraint"):  # Optuna before 5
        offered["constraints_func"] = _constraints
    with quiet_optuna():
        found: BaseSampler = build(OmegaConf.create(plain), "hydra.sweeper.sampler", **offered)
    return found


def build_pruner(node: Mapping[str, Any], num_seeds: int) -> BasePruner:
    """Build the pruner of a study whose trials run with ``num_seeds`` seeds.

    Raises:
        ConfigError: If it cannot be built; the message names the setting.
    """
    offered = {"max_resource": STEPS_PER_SEED * num_seeds}
    with quiet_optuna():
        found: BasePruner = build(OmegaConf.create(dict(node)), "hydra.sweeper.pruner", **offered)
    return found


def is_pruning(pruner: BasePruner) -> bool:
    """Tell whether a pruner ever stops a trial."""
    return not isinstance(pruner, NopPruner)


def is_by_seed(pruner: BasePruner) -> bool:
    """Tell whether a pruner compares trials seed by seed instead of step by step."""
    return isinstance(pruner, WilcoxonPruner)


def rehearse(
    sampler: BaseSampler,
    pruner: BasePruner,
    space: Mapping[str, BaseDistribution],
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
                study.tell(study.ask(dict(space)), [0.5] * len(directions))
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


def _constraints(trial: FrozenTrial) -> Sequence[float]:
    return list(trial.user_attrs.get(CONSTRAINTS, {}).values())


def _entropy(*path: object) -> int:
    digest = hashlib.blake2b("\0".join(map(str, path)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")
