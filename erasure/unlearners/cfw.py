"""CFW: confuse the convolutions with noise, then train on with weighted batches."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.pool import Batch
from erasure.core.seeding import branch
from erasure.core.task import UnlearningTask
from erasure.models.layers import kernels, own_weight
from erasure.training.fit import Fit, Objective
from erasure.training.passes import shuffled
from erasure.unlearners.shared.balance import label_counts


@dataclass(frozen=True, kw_only=True)
class CFW:
    r"""Add noise to convolution weights, train on the retain set, add a little before the end.

    :math:`W \leftarrow W + \sigma \epsilon` on every convolution at the start, and with
    ``sigma_end`` before the last epoch. The loss of a batch is its mean loss times the mean of
    its sample weights :math:`n / (K \cdot count_i)`, for n retain samples and K labels that occur:
    batches are weighted, not samples. The forget set is never read.

    Args:
        fit: Optimizer, epochs and batch size.
        sigma: Standard deviation of the first noise, at least 0.
        sigma_end: That of the second, at least 0; a run of a single epoch has none.

    Passes:
        0 over forget, E over retain.

    Deviations:
        Convolutions found by type (linear layers if none); the port's balanced weights.

    References:
        Third of the NeurIPS 2023 unlearning competition (Seif; E. Triantafillou et al.,
        arXiv:2406.09073), as in X. F. Cadet et al., "Deep Unlearn", arXiv:2410.01276.

    Notes:
        Balanced weights are those of the port; the competition's own were made for its classes.
        The authors add noise to direct children whose name contains "conv", which leaves out
        those inside blocks; here convolutions are found by their type, wherever they are. In a
        model without any, the linear layers get the noise, an adaptation.
    """

    fit: Fit
    sigma: float = 0.6
    sigma_end: float = 0.005

    def __post_init__(self) -> None:
        for name in ("sigma", "sigma_end"):
            if not getattr(self, name) >= 0.0:
                raise ConfigError(f"{name} must be >= 0, got {getattr(self, name)}")

    def __call__(self, task: UnlearningTask) -> nn.Module:
        if not kernels(task.model):
            raise UnsupportedError(
                "cfw needs convolutions or linear layers, which this model has not; use "
                "unlearner=finetune"
            )
        noise = branch(task.generator, "cfw", "noise")
        confuse(task.model, self.sigma, noise)
        epochs, size = self.fit.epochs, self.fit.batch_size
        batches = shuffled(task.retain, size, task.generator, augment=self.fit.augment)
        loop, objective = self.fit.loop(task.model, epochs * batches.steps), _objective(task)
        for epoch in range(1, epochs + 1):
            # The last epoch gets a second, smaller confusion, unless it is the first as well.
            if epoch == epochs > 1:
                confuse(task.model, self.sigma_end, noise)
            task.report(epoch, epochs, loss=loop.run(batches, objective))
        return task.model


def confuse(model: nn.Module, sigma: float, generator: Generator) -> None:
    """Add normal noise to the weights of the convolutions of ``model``."""
    with torch.no_grad():
        for _, module in kernels(model):
            weight = own_weight(module)
            weight.add_(sigma * torch.randn(weight.shape, generator=generator).to(weight))


def _objective(task: UnlearningTask) -> Objective[Batch]:
    counts = label_counts(task.retain)
    labels = len(task.retain.targets.unique(dim=0))
    # scikit-learn's "balanced": N / (K n_k), here by sample id. Ids that are not retained are
    # divided by 0 and never looked up.
    weights = len(task.retain) / (labels * counts)

    def objective(model: nn.Module, batch: Batch) -> Tensor:
        return task.objective(model, batch) * weights[batch.ids].mean()

    return objective
