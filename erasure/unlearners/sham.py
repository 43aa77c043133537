"""Move the weights at random, as far as a method does: the control for damage."""

import copy
from dataclasses import dataclass, replace
from typing import Literal, cast

import torch
from torch import Generator, Tensor, nn

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.seeding import branch
from erasure.core.task import Unlearner, UnlearningTask


@dataclass(frozen=True, kw_only=True)
class Sham:
    r"""Move the weights by a given distance in a random direction.

    Whatever this "forgets" is damage, not unlearning: a method that scores no better than a sham
    of its own size has shown nothing. With :math:`u` standard normal,
    :math:`\theta \leftarrow \theta + d \, u / \lVert u \rVert`.

    Args:
        relative_norm: Distance :math:`d` as a share of the norm of the weights, above 0.
        reference: Take the distance from this method instead, which runs first on a copy of the
            model. What it reads and the time it takes count as the sham's own.
        scope: ``tensor``: every parameter moves by its own distance in its own direction, and
            keeps its place if the distance is 0; ``model``: all parameters together move along
            one direction.

    Passes:
        None, or those of the reference method.

    Deviations:
        Buffers stay.

    Notes:
        Buffers, such as the statistics of batch normalization, stay as they are.
    """

    relative_norm: float | None = None
    reference: Unlearner | None = None
    scope: Literal["tensor", "model"] = "tensor"

    def __post_init__(self) -> None:
        if self.relative_norm is not None and not self.relative_norm > 0:
            raise ConfigError(f"relative_norm must be > 0, got {self.relative_norm}")
        if (self.relative_norm is None) == (self.reference is None):
            raise ConfigError(
                "relative_norm must be null when reference is set, and a number when it is not"
            )
        if self.scope not in ("tensor", "model"):
            raise ConfigError(f"scope must be tensor or model, got {self.scope!r}")

    def __call__(self, task: UnlearningTask) -> nn.Module:
        distances = self._distances(task)
        generator = branch(task.generator, "sham")
        weights = [weight.detach() for weight in task.model.parameters()]
        directions = [_normal(weight, generator) for weight in weights]
        scales = [d / _norm(u) for d, u in zip(distances, directions, strict=True)]
        if self.scope == "model":
            # One scale for all parameters, so that the move as a whole has the length asked for.
            lengths = torch.stack([_norm(direction) for direction in directions])
            scales = [_norm(torch.stack(distances)) / _norm(lengths)] * len(scales)
        for weight, direction, scale in zip(weights, directions, scales, strict=True):
            weight.add_(scale.to(weight) * direction)
        return task.model

    def _distances(self, task: UnlearningTask) -> list[Tensor]:
        """Return how far each parameter is to move, scalars."""
        before = {name: weight.detach() for name, weight in task.model.named_parameters()}
        if self.reference is None:
            share = cast("float", self.relative_norm)
            return [share * _norm(weight) for weight in before.values()]
        moved = self.reference(replace(task, model=copy.deepcopy(task.model)))
        after = {name: weight.detach() for name, weight in moved.named_parameters()}
        if {n: w.shape for n, w in before.items()} != {n: w.shape for n, w in after.items()}:
            raise UnsupportedError(
                "reference returns a model with other parameters, which has no distance from the "
                "original; set relative_norm instead"
            )
        return [_norm(after[name] - weight) for name, weight in before.items()]


def _normal(weight: Tensor, generator: Generator) -> Tensor:
    return torch.randn(weight.shape, generator=generator).to(weight)


def _norm(values: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(values.double())
    return norm
