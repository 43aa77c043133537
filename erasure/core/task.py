"""What an unlearning method may see."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Generator, Tensor, nn

from erasure.core.kinds import TaskKind
from erasure.core.splits import View
from erasure.core.types import Batch, Loss


class Report(Protocol):
    """Receives the curves of a run."""

    def __call__(self, step: int, of: int, **values: float) -> None:
        """Record ``values`` by name at ``step`` (from 1) of ``of``; a pruner may raise here."""


def silent(step: int, of: int, **values: float) -> None:
    """Record nothing; the report of a run nobody watches."""


@dataclass(frozen=True, kw_only=True)
class UnlearningTask:
    """One request: a trained model, what it must forget, and what else a method may use.

    Args:
        model: Private copy of the original; may be changed and returned.
        forget: Samples to forget, part of the original's training set.
        retain: The rest of the training set.
        val: Held-out samples for methods that tune themselves; never the test set.
        kind: What the labels mean.
        num_classes: Number of classes.
        generator: The only source of randomness.
        fresh: Builds the same architecture with the weights the original started from.
        train: Trains fresh weights on a view with the original's recipe and seed, through the
            store: a model that exists already is not trained again, but its time is accounted.
        report: Receives curves.
    """

    model: nn.Module
    forget: View
    retain: View
    val: View
    kind: TaskKind
    num_classes: int
    generator: Generator
    fresh: Callable[[], nn.Module]
    train: Callable[[View], nn.Module]
    report: Report = silent

    @property
    def loss(self) -> Loss:
        """The training loss per sample."""
        return self.kind.loss

    def objective(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean training loss of ``model`` on ``batch``, a scalar."""
        return self.loss(model(batch.inputs), batch.targets).mean()
