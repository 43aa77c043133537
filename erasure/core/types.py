"""The protocols through which the parts of a trial meet."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

from torch import Generator, Tensor, nn

if TYPE_CHECKING:
    from erasure.core.context import EvalContext
    from erasure.core.kinds import TaskKind
    from erasure.core.metric import Measured, MetricSchema
    from erasure.core.splits import SplitIndices, View
    from erasure.core.task import Cached, Fresh, Report, UnlearningTask

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
    def task(self) -> "TaskKind":
        """What the labels mean and which losses fit them."""

    @property
    def num_classes(self) -> int:
        """Number of classes the labels can take, whether or not each occurs."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per class."""

    @property
    def attributes(self) -> Mapping[str, Tensor]:
        """Further columns ``(N,)`` by name, for splits that select by them."""

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

    def digests(self, index: Tensor) -> Tensor:
        """Return a content hash (B,) int64 per sample; equal inputs have equal hashes."""


class Dataset(Protocol):
    """Loads a pool; its fields are the keys of ``conf/dataset/*.yaml``."""

    def __call__(self, device: Any) -> Pool:
        """Load or build the pool on ``device``."""


class SplitStrategy(Protocol):
    """Chooses which samples are trained on, held out, and to be forgotten."""

    def __call__(self, pool: Pool, generator: Generator) -> "SplitIndices":
        """Split ``pool``; draws for train, val and test come before those for forget."""


class Trainer(Protocol):
    """The recipe that turns fresh weights into a trained model."""

    def __call__(
        self, model: nn.Module, data: "View", generator: Generator, report: "Report"
    ) -> nn.Module:
        """Train ``model`` on ``data`` in place and return it."""


@runtime_checkable
class ComposingTrainer(Trainer, Protocol):
    """A trainer of a model that it composes itself, and that can resume from what it kept."""

    def compose(self, fresh: "Fresh", kind: "TaskKind") -> "Fresh":
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
    """A measurement of the subject model of an evaluation context."""

    def schema(self, heldout: str) -> Mapping[str, "MetricSchema"]:
        """Name and describe every value the metric returns."""

    def __call__(self, ctx: "EvalContext") -> Mapping[str, "Measured"]:
        """Measure ``ctx.subject``; the keys are those of :meth:`schema`."""
