"""Gradient ascent on the forget set (NegGrad)."""

from dataclasses import dataclass

from torch import Tensor, nn

from erasure.core.pool import Batch
from erasure.core.task import UnlearningTask
from erasure.training.fit import Fit
from erasure.training.passes import shuffled
from erasure.training.scoring import Stop, check_stop, has_forgotten


@dataclass(frozen=True, kw_only=True)
class GradAscent:
    r"""Maximize the loss on the forget set: :math:`\theta \leftarrow \theta + \eta \nabla L_f`.

    One epoch is one pass over the forget set; the retain set is never read. The objective has no
    upper bound: a rate ten times too large ends in NaN, which fails the trial. Weight decay acts
    with its normal sign.

    Args:
        fit: Optimizer, epochs, batch size and clipping.
        stop: End after the first epoch in which forget accuracy is no higher than ``val``: the
            accuracy on the validation set, as for random samples; ``chance``: one over the
            number of classes, as for whole classes. ``never`` runs all epochs.

    Passes:
        E over forget, 0 over retain.

    Deviations:
        Optional ``stop`` when forget accuracy reaches that of validation, or chance.

    References:
        A. Golatkar et al., CVPR 2020, arXiv:1911.04933; A. Thudi et al., "Unrolling SGD",
        EuroS&P 2022, arXiv:2109.13398.
    """

    fit: Fit
    stop: Stop = "never"

    def __post_init__(self) -> None:
        check_stop(self.stop)

    def __call__(self, task: UnlearningTask) -> nn.Module:
        def objective(model: nn.Module, batch: Batch) -> Tensor:
            return -task.objective(model, batch)

        batches = shuffled(
            task.forget, self.fit.batch_size, task.generator, augment=self.fit.augment
        )
        loop = self.fit.loop(task.model, self.fit.epochs * batches.steps)
        for epoch in range(1, self.fit.epochs + 1):
            task.report(epoch, self.fit.epochs, loss=loop.run(batches, objective))
            if has_forgotten(task, self.stop):
                break
        return task.model
