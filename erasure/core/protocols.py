"""The protocols through which data sets, splits and trainers meet."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from torch import Generator, nn

from erasure.core.data_config import DataConfig
from erasure.core.pool import Pool
from erasure.core.splits import SplitIndices, View
from erasure.core.task import Cached, Fresh, Report
from erasure.core.task_types import TaskType


class Dataset(Protocol):
    """Loads a pool; its fields are the keys of ``conf/dataset/*.yaml``."""

    def __call__(self, data_config: DataConfig) -> Pool:
        """Load or build the pool on ``data_config.device``."""


class SplitStrategy(Protocol):
    """Chooses which samples are trained on, held out, and to be forgotten."""

    def __call__(self, pool: Pool, generator: Generator) -> SplitIndices:
        """Split ``pool``; draws for train, val and test come before those for forget."""


@runtime_checkable
class AlteringSplit(Protocol):
    """A split whose forget set is altered before training: mislabelled, or poisoned."""

    def altered(self, pool: Pool, indices: SplitIndices) -> Pool:
        """Return the data the original is trained on."""

    def probes(self, pool: Pool, indices: SplitIndices) -> Mapping[str, View]:
        """Return held-out samples that show the alteration's effect, by name."""


@runtime_checkable
class DeletingSplit(Protocol):
    """A split after which samples that stay look different, as neighbours in a graph do."""

    def remaining(self, pool: Pool, indices: SplitIndices) -> View:
        """Return the training data once the forget set is gone; gold is trained on them."""


@runtime_checkable
class EvaluatingSplit(Protocol):
    """A split that says on which data, of the same samples, models are evaluated."""

    def evaluated(self, pool: Pool, indices: SplitIndices) -> Pool:
        """Return these data."""


class Trainer(Protocol):
    """The recipe that turns fresh weights into a trained model."""

    def __call__(
        self, model: nn.Module, data: View, generator: Generator, report: Report
    ) -> nn.Module:
        """Train ``model`` on ``data`` in place and return it."""


@runtime_checkable
class ComposingTrainer(Trainer, Protocol):
    """A trainer of a model that it composes itself, and that can resume from what it kept."""

    def compose(self, fresh: Fresh, kind: TaskType) -> Fresh:
        """Return what builds the model it trains, out of models that ``fresh`` builds."""

    def resuming(self, kept: Cached) -> Trainer:
        """Return the same trainer, which asks ``kept`` before it trains a stage.

        What the names and settings it gives leave open is the same for all its stages: the
        configuration of model and trainer, and the seed.
        """
