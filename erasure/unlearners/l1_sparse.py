"""l1-sparse: fine-tune under a penalty that favors sparse weights."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from erasure.core.errors import ConfigError
from erasure.core.pool import Batch
from erasure.core.task import UnlearningTask
from erasure.training.fit import Fit, Objective
from erasure.training.passes import shuffled


@dataclass(frozen=True, kw_only=True)
class L1Sparse:
    r"""Minimize :math:`L_{retain} + a_e \lVert \theta \rVert_1` over all parameters.

    In epoch :math:`e`, counted from 0, of :math:`E` with a tail of :math:`t`,
    :math:`a_e = \alpha (1 - e / (E - t))` before the tail and 0 in it. Biases and the weights of
    norms are part of :math:`\theta`. The forget set is never read.

    Args:
        fit: Optimizer, epochs and batch size.
        alpha: Weight of the penalty in the first epoch, at least 0; 0 gives fine-tuning. It acts
            on a sum over all weights: 0.2 destroys a ResNet-18.
        tail: Number of last epochs without a penalty, at most all.

    Passes:
        0 over forget, E over retain.

    Deviations:
        Alpha 5e-5, because the 0.2 of the authors' generic command line destroys a model.

    References:
        J. Jia, J. Liu, P. Ram, Y. Yao, G. Liu, Y. Liu, P. Sharma and S. Liu, "Model Sparsity Can
        Simplify Machine Unlearning", NeurIPS 2023, arXiv:2304.04934.

    Notes:
        It is a penalty, not pruning: gradient steps leave no weight at exactly zero. "Prune first,
        then unlearn" of the same paper is another method.
    """

    fit: Fit
    alpha: float = 5e-5
    tail: int = 0

    def __post_init__(self) -> None:
        if not self.alpha >= 0:
            raise ConfigError(f"alpha must be >= 0, got {self.alpha}")
        if not 0 <= self.tail <= self.fit.epochs:
            raise ConfigError(f"tail must be in [0, fit.epochs], got {self.tail}")

    def __call__(self, task: UnlearningTask) -> nn.Module:
        size, augment = self.fit.batch_size, self.fit.augment
        batches = shuffled(task.retain, size, task.generator, augment=augment)
        loop = self.fit.loop(task.model, self.fit.epochs * batches.steps)
        for epoch in range(self.fit.epochs):
            loss = loop.run(batches, _penalized(task, self._weight(epoch)))
            task.report(epoch + 1, self.fit.epochs, loss=loss)
        return task.model

    def _weight(self, epoch: int) -> float:
        penalized = self.fit.epochs - self.tail
        return self.alpha * (1.0 - epoch / penalized) if epoch < penalized else 0.0


def _penalized(task: UnlearningTask, weight: float) -> Objective[Batch]:
    def objective(model: nn.Module, batch: Batch) -> Tensor:
        return task.objective(model, batch) + weight * _l1(model)

    # In the tail the sum over all weights would cost time for nothing.
    return objective if weight > 0 else task.objective


def _l1(model: nn.Module) -> Tensor:
    return torch.stack([p.abs().sum() for p in model.parameters() if p.requires_grad]).sum()
