"""The protocols through which the parts of a trial meet."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

from torch import Generator, Tensor, nn

if TYPE_CHECKING:
    from erasure.core.columns import Column
    from erasure.core.context import EvalContext
    from erasure.core.data_config import DataConfig
    from erasure.core.splits import SplitIndices, View
    from erasure.core.task import Cached, Fresh, Report, UnlearningTask
    from erasure.core.task_types import TaskType
    from erasure.core.values import Meaning, MetricValue

Inputs: TypeAlias = Any
"""What a model eats: a tensor, a mapping of tensors, a graph batch. Only models look inside."""

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Logits ``(B, C)`` and targets ``(B,)`` to one loss per sample ``(B,)``."""


class Batch(NamedTuple):
    """A batch of samples: opaque ``inputs``, ``targets`` (B,) and ``ids`` (B,)."""

    inputs: Inputs
    targets: Tensor
    ids: Tensor


class Pool(Protocol):
    """All samples of a data set, gathered by id; an id is a row number for life."""

    @property
    def targets(self) -> Tensor:
        """Labels ``(N,)``, on the device of the pool."""

    @property
    def task(self) -> "TaskType":
        """What the labels mean and which losses fit them."""

    @property
    def num_classes(self) -> int:
        """Number of classes the labels can take, whether or not each occurs."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per class."""

    @property
    def attributes(self) -> Mapping[str, "Column"]:
        """Further columns of N rows by name, for splits that select by them."""

    @property
    def official(self) -> Tensor | None:
        """Part each sample has in the split of its authors: 0 train, 1 val, 2 test, ``(N,)``."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What a model may need to know besides shape and classes, such as ``vocab_size``."""

    @property
    def augments(self) -> bool:
        """Whether ``fetch`` with a generator returns something else than without."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample as the model sees it."""

    @property
    def fingerprint(self) -> str:
        """Hash of the contents."""

    def fetch(self, index: Tensor, *, augment: Generator | None = None) -> Inputs:
        """Return the inputs of the ids ``index`` (B,), augmented if a generator is given."""

    def stream(
        self, batches: Sequence[Tensor], *, augment: Generator | None = None
    ) -> Iterator[Inputs]:
        """Fetch one batch of ids after the other; a pool may work ahead of its reader."""

    def digests(self, index: Tensor) -> Tensor:
        """Return a content hash (B,) int64 per sample; equal inputs have equal hashes."""

    def sketch(self, index: Tensor) -> Tensor:
        """Return a short vector (B, D) per sample; near duplicates have a cosine near one."""


@runtime_checkable
class FittingPool(Protocol):
    """A pool whose preprocessing has parameters, to be fitted on training samples alone."""

    def fitted(self, train: Tensor) -> Pool:
        """Return the pool preprocessed by what the samples ``train`` (n,) say."""


class Dataset(Protocol):
    """Loads a pool; its fields are the keys of ``conf/dataset/*.yaml``."""

    def __call__(self, home: "DataConfig") -> Pool:
        """Load or build the pool on ``home.device``."""


class SplitStrategy(Protocol):
    """Chooses which samples are trained on, held out, and to be forgotten."""

    def __call__(self, pool: Pool, generator: Generator) -> "SplitIndices":
        """Split ``pool``; draws for train, val and test come before those for forget."""


@runtime_checkable
class AlteringSplit(Protocol):
    """A split whose forget set is altered before training: mislabelled, or poisoned."""

    def altered(self, pool: Pool, indices: "SplitIndices") -> Pool:
        """Return the data the original is trained on."""

    def probes(self, pool: Pool, indices: "SplitIndices") -> "Mapping[str, View]":
        """Return held-out samples that show the alteration's effect, by name."""


@runtime_checkable
class DeletingSplit(Protocol):
    """A split after which samples that stay look different, as neighbours in a graph do."""

    def remaining(self, pool: Pool, indices: "SplitIndices") -> "View":
        """Return the training data once the forget set is gone; gold is trained on them."""


@runtime_checkable
class EvaluatingSplit(Protocol):
    """A split that says on which data, of the same samples, models are evaluated."""

    def evaluated(self, pool: Pool, indices: "SplitIndices") -> Pool:
        """Return these data."""


class Trainer(Protocol):
    """The recipe that turns fresh weights into a trained model."""

    def __call__(
        self, model: nn.Module, data: "View", generator: Generator, report: "Report"
    ) -> nn.Module:
        """Train ``model`` on ``data`` in place and return it."""


@runtime_checkable
class ComposingTrainer(Trainer, Protocol):
    """A trainer of a model that it composes itself, and that can resume from what it kept."""

    def compose(self, fresh: "Fresh", kind: "TaskType") -> "Fresh":
        """Return what builds the model it trains, out of models that ``fresh`` builds."""

    def resuming(self, kept: "Cached") -> Trainer:
        """Return the same trainer, which asks ``kept`` before it trains a stage.

        What the names and settings it gives leave open is the same for all its stages: the
        configuration of model and trainer, and the seed.
        """


class Unlearner(Protocol):
    """A method that makes a trained model forget."""

    def __call__(self, task: "UnlearningTask") -> nn.Module:
        """Return a model that behaves as if ``task.forget`` had never been trained on."""


class Metric(Protocol):
    """A measurement of the subject model of an evaluation context.

    One that reads ``ctx.features`` says so by a class attribute ``needs_features = True``, one
    that cannot do without reference models by ``needs_roles``, the roles it reads, and one for
    which cached logits are not enough, because it trains copies or needs gradients, by
    ``runs_models = True``.
    """

    def schema(self, heldout: str) -> Mapping[str, "Meaning"]:
        """Name and describe every value the metric returns."""

    def __call__(self, ctx: "EvalContext") -> Mapping[str, "MetricValue"]:
        """Measure ``ctx.subject``; the keys are those of :meth:`schema`."""
