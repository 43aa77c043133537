"""Advanced NegGrad: descend on the retain set and ascend on the forget set, weighted alike."""

from dataclasses import dataclass

from torch import Tensor, nn

from erasure.core.pool import Batch
from erasure.core.task import UnlearningTask
from erasure.training.fit import Fit
from erasure.training.passes import paired
from erasure.training.scoring import Stop, check_stop, has_forgotten


@dataclass(frozen=True, kw_only=True)
class AdvancedNegGrad:
    r"""Minimize :math:`L_{retain} - L_{forget}`, both means over a batch, with unit weights.

    Both forward passes run in the same mode, with one backward pass and one step per pair. One
    epoch is one pass over the retain set; the forget set repeats as often as needed. With plain
    SGD this is NegGrad+ at ``alpha=0.5`` and twice the rate.

    Args:
        fit: Optimizer, epochs, batch size and clipping. Unit weights are far more forgetting than
            NegGrad+ usually asks for, and the objective has no lower bound: a rate or a number of
            epochs too large destroys the model.
        stop: End after the first epoch in which forget accuracy is no higher than ``val``: the
            accuracy on the validation set, as for random samples; ``chance``: one over the
            number of classes, as for whole classes. ``never`` runs all epochs.

    Passes:
        E times what it takes over forget, E over retain.

    Deviations:
        No pair is skipped for unequal sizes; optional ``stop`` and clipping.

    References:
        D. Choi and D. Na, "Towards Machine Unlearning Benchmarks", 2023, arXiv:2311.02240.

    Notes:
        The authors' code skips a pair whose batches differ in size, which skips every pair when
        the forget set is smaller than a batch; here no pair is skipped.
    """

    fit: Fit
    stop: Stop = "never"

    def __post_init__(self) -> None:
        check_stop(self.stop)

    def __call__(self, task: UnlearningTask) -> nn.Module:
        def objective(model: nn.Module, pair: tuple[Batch, Batch]) -> Tensor:
            keep, drop = (task.objective(model, batch) for batch in pair)
            return keep - drop

        size, augment = self.fit.batch_size, self.fit.augment
        pairs = paired(task.retain, task.forget, size, task.generator, augment=augment)
        loop = self.fit.loop(task.model, self.fit.epochs * pairs.steps)
        for epoch in range(1, self.fit.epochs + 1):
            task.report(epoch, self.fit.epochs, loss=loop.run(pairs, objective))
            if has_forgotten(task, self.stop):
                break
        return task.model
