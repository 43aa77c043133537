"""What a caller says about how the network is built and trained, and what is missing of it."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from torch import Tensor, nn

from erasure.api.devices import device_of
from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.pool import Pool
from erasure.core.protocols import ComposingTrainer, Trainer
from erasure.core.seeding import isolated, stream
from erasure.core.splits import View
from erasure.core.task import Fresh, silent
from erasure.core.task_types import TaskType

Build: TypeAlias = Callable[[], nn.Module]
"""Builds a network with weights that never saw data."""


@dataclass(frozen=True, kw_only=True)
class OwnRecipe:
    """Builds and trains the network of a caller, or says which argument it would take.

    Args:
        method: Who asks, for messages.
        original: The trained network.
        build: Builds it untrained, if the caller can.
        trainer: Trains it, if the caller says how.
        seed: Seed of initial weights and of training.
        task_type: What the labels mean.
    """

    method: str
    original: nn.Module
    build: Build | None
    trainer: Trainer | None
    seed: int
    task_type: TaskType

    def fresh(self, salt: str = "") -> nn.Module:
        """Return untrained weights, others for another ``salt``.

        Raises:
            UnsupportedError: If the caller did not say how the network is built.
            ConfigError: If what is built has other weights than the original.
        """
        if self.build is None:
            raise UnsupportedError(
                f"{self.method} needs the network with untrained weights: pass fresh=, a function "
                "without arguments that builds it"
            )
        build: Fresh = partial(self._built, self.build)
        if isinstance(self.trainer, ComposingTrainer):
            build = self.trainer.compose(build, self.task_type)
        network = build(salt)
        if not isinstance(network, nn.Module) or _shapes(network) != _shapes(self.original):
            raise ConfigError(
                "fresh must build the network of model with untrained weights, got "
                f"{type(network).__name__} with others"
            )
        return network.to(device_of(self.original))

    def train(self, view: View) -> nn.Module:
        """Return untrained weights trained on ``view``.

        Raises:
            UnsupportedError: If the caller did not say how the network is built and trained.
        """
        if self.trainer is None or self.build is None:
            raise UnsupportedError(
                f"{self.method} trains the network again: pass fresh=, a function without "
                "arguments that builds it, and trainer=, the name of a trainer or an object such "
                "as erasure.training.Standard(fit=...), that trains it as model was trained"
            )
        with isolated(self.seed, "train", "layers"):
            return self.trainer(self.fresh(), view, stream(self.seed, "train"), silent)

    def _built(self, build: Build, salt: str = "") -> nn.Module:
        with isolated(self.seed, "model", *([salt] if salt else [])):
            # a copy, should the function return one network again and again
            return copy.deepcopy(build())


class MissingView(View):
    """Validation samples that nobody passed; looking at them says so.

    Args:
        pool: The data of the other parts.
        method: Who looks, for the message.
    """

    def __init__(self, pool: Pool, method: str) -> None:
        # View is frozen, and has no field for a name
        object.__setattr__(self, "pool", pool)
        object.__setattr__(self, "method", method)

    @property
    def index(self) -> Tensor:
        """Say what is missing."""
        method = self.__dict__["method"]
        raise UnsupportedError(f"{method} looks at samples that model never saw: pass val=")

    @property
    def labels(self) -> Tensor:
        """Say what is missing."""
        return self.index


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}
