"""The protocols through which data sets, splits and trainers meet."""

from typing import Protocol, runtime_checkable

from torch import Generator, nn

from erasure.core.data_config import DataConfig
from erasure.core.pool import Pool
from erasure.core.splits import SplitIndices, View
from erasure.core.task import Cached, Fresh, Report
from erasure.core.task_types import TaskType
from erasure.core.trial_data import TrialData


class Dataset(Protocol):
    """Loads a pool; its fields are the keys of ``conf/dataset/*.yaml``."""

    def __call__(self, data_config: DataConfig) -> Pool:
        """Load or build the pool on ``data_config.device``."""


class SplitStrategy(Protocol):
    """Chooses which samples are trained on, held out, and to be forgotten."""

    def __call__(self, pool: Pool, generator: Generator) -> SplitIndices:
        """Split ``pool``; draws for train, val and test come before those for forget."""


@runtime_checkable
class PreparingSplit(SplitStrategy, Protocol):
    """A split that does more to the data than to divide them: alters labels, deletes, poisons."""

    def prepare(self, pool: Pool, generator: Generator) -> TrialData:
        """Return what ``self(pool, generator)`` chooses, with the data it leaves to train on."""


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
