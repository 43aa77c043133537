"""What an unlearning method may see."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Generator, Tensor, nn

from erasure.core.pool import Batch
from erasure.core.splits import View
from erasure.core.task_types import Loss, TaskType


class Report(Protocol):
    """Receives the curves of a run."""

    def __call__(self, step: int, of: int, **values: float) -> None:
        """Record ``values`` by name at ``step`` (from 1) of ``of``; a pruner may raise here."""


class Fresh(Protocol):
    """Builds the architecture of the original with weights that never saw data."""

    def __call__(self, salt: str = "") -> nn.Module:
        """Return the weights the original started from, or others for another ``salt``."""


class Cached(Protocol):
    """Remembers tensors across the trials of a sweep."""

    def __call__(
        self, name: str, view: View, compute: Callable[[], Mapping[str, Tensor]], **settings: Any
    ) -> Mapping[str, Tensor]:
        """Return what ``compute`` returns for the original model and ``view``.

        ``name`` and ``settings`` (plain JSON data) must hold all else that it depends on. The
        time of the computation is accounted to the method, whenever it was spent.
        """


def computed(
    name: str,  # noqa: ARG001  # the protocol has it
    view: View,  # noqa: ARG001
    compute: Callable[[], Mapping[str, Tensor]],
    **settings: Any,  # noqa: ARG001
) -> Mapping[str, Tensor]:
    """Compute and remember nothing."""
    return compute()


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
        task_type: What the labels mean.
        num_classes: Number of classes.
        generator: The only source of randomness.
        fresh: Builds the same architecture with the weights the original started from, or with
            others.
        train: Trains fresh weights on a view with the original's recipe and seed, through the
            store: a model that exists already is not trained again, but its time is accounted.
        report: Receives curves.
        cached: Remembers what depends on the original model and the data alone.
    """

    model: nn.Module
    forget: View
    retain: View
    val: View
    task_type: TaskType
    num_classes: int
    generator: Generator
    fresh: Fresh
    train: Callable[[View], nn.Module]
    report: Report = silent
    cached: Cached = computed

    @property
    def loss(self) -> Loss:
        """The training loss per sample."""
        return self.task_type.loss

    def objective(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean training loss of ``model`` on ``batch``, a scalar."""
        return self.loss(model(batch.inputs), batch.targets).mean()


class Unlearner(Protocol):
    """A method that makes a trained model forget."""

    def __call__(self, task: UnlearningTask) -> nn.Module:
        """Return a model that behaves as if ``task.forget`` had never been trained on."""
