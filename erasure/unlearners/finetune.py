"""Fine-tuning: train on, without the forget set, and hope."""

from dataclasses import dataclass

from torch import nn

from erasure.core.task import UnlearningTask
from erasure.training.fit import Fit
from erasure.training.passes import shuffled


@dataclass(frozen=True, kw_only=True)
class Finetune:
    """Minimize the loss on the retain set, starting from the original.

    One epoch is one pass over the retain set; the forget set is never read.

    Args:
        fit: Optimizer, epochs and batch size. Near the last learning rate of training nothing
            happens; a large rate is a warm restart that forgets by instability.

    Passes:
        0 over forget, E over retain.

    References:
        A. Golatkar et al., "Eternal Sunshine of the Spotless Net", CVPR 2020, arXiv:1911.04933,
        as a baseline; A. Warnecke et al., "Machine Unlearning of Features and Labels",
        NDSS 2023, arXiv:2108.11577.
    """

    fit: Fit

    def __call__(self, task: UnlearningTask) -> nn.Module:
        batches = shuffled(
            task.retain, self.fit.batch_size, task.generator, augment=self.fit.augment
        )
        return self.fit(task.model, batches, task.objective, report=task.report)
