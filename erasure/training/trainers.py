"""Recipes from fresh weights to a trained model."""

from dataclasses import dataclass

from torch import Generator, Tensor, nn

from erasure.core.pool import Batch
from erasure.core.splits import View
from erasure.core.task import Report, silent
from erasure.training.fit import Fit
from erasure.training.passes import shuffled


@dataclass(frozen=True, kw_only=True)
class Standard:
    """Minimize the mean loss; the original and the gold model are both made by this.

    Args:
        fit: Optimizer, epochs, batch size and schedule.
    """

    fit: Fit

    def __call__(
        self, model: nn.Module, data: View, generator: Generator, report: Report = silent
    ) -> nn.Module:
        """Train ``model`` on ``data``."""
        loss = data.pool.task_type.loss

        def objective(trained: nn.Module, batch: Batch) -> Tensor:
            return loss(trained(batch.inputs), batch.targets).mean()

        batches = shuffled(data, self.fit.batch_size, generator, augment=self.fit.augment)
        return self.fit(model, batches, objective, report=report)
