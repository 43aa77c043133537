"""NegGrad+: descend on the retain set while ascending on the forget set."""

from dataclasses import dataclass

from torch import Tensor, nn

from erasure.core.errors import ConfigError
from erasure.core.pool import Batch
from erasure.core.task import UnlearningTask
from erasure.training.fit import Fit
from erasure.training.passes import paired


@dataclass(frozen=True, kw_only=True)
class NegGradPlus:
    r"""Minimize :math:`\alpha L_{retain} - (1 - \alpha) L_{forget}`.

    Both forward passes run in the same mode, with one backward pass and one step per pair. One
    epoch is one pass over the retain set; the forget set repeats as often as needed.

    Args:
        fit: Optimizer, epochs, and batch size on the retain set.
        alpha: Weight of the retain loss, in ``[0, 1]``; 1 gives the parameters of fine-tuning.
        forget_batch_size: Batch size on the forget set; None takes that of the retain set.

    Passes:
        E times what it takes over forget, E over retain.

    Deviations:
        Forget batches get a new order at each repetition; the authors' code replays the first
        pass.

    References:
        M. Kurmanji, P. Triantafillou, J. Hayes and E. Triantafillou, "Towards Unbounded Machine
        Unlearning", NeurIPS 2023, arXiv:2302.09880.

    Notes:
        The authors' code repeats the forget set with ``itertools.cycle``, which replays the
        batches of its first pass; here every repetition has a new order.
    """

    fit: Fit
    alpha: float = 0.95
    forget_batch_size: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.alpha <= 1.0:
            raise ConfigError(f"alpha must be in [0, 1], got {self.alpha}")
        if self.forget_batch_size is not None and self.forget_batch_size < 1:
            raise ConfigError(f"forget_batch_size must be >= 1, got {self.forget_batch_size}")

    def __call__(self, task: UnlearningTask) -> nn.Module:
        def objective(model: nn.Module, pair: tuple[Batch, Batch]) -> Tensor:
            keep, drop = (task.objective(model, batch) for batch in pair)
            return self.alpha * keep - (1.0 - self.alpha) * drop

        pairs = paired(
            task.retain,
            task.forget,
            self.fit.batch_size,
            task.generator,
            augment=self.fit.augment,
            other_size=self.forget_batch_size,
        )
        return self.fit(task.model, pairs, objective, report=task.report)
