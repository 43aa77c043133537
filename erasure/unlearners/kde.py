"""KDE: reset the first and the last layer and let the original teach them again."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from erasure.core.errors import ConfigError
from erasure.core.pool import Batch
from erasure.core.seeding import branch
from erasure.core.task import UnlearningTask
from erasure.models.layers import head, reset_layers, weighted_layers
from erasure.training.fit import Fit
from erasure.training.passes import shuffled


@dataclass(frozen=True, kw_only=True)
class KDE:
    r"""Reset the first layer and the head, then learn from the frozen original.

    With :math:`d = KL(teacher || student)` at temperature T, without a factor T², and s the soft
    cross-entropy against the teacher at T: first minimize :math:`d` on the validation set, then
    :math:`L + d + s` on the retain set. As s and d differ by a constant, the divergence counts
    twice. The forget set is never read.

    Args:
        fit: The second phase, on the retain set.
        warmup: The first phase, on the validation set.
        temperature: The temperature T, above 0.

    Passes:
        0 over forget, E (+3 on val) over retain.

    Deviations:
        Layers found by type; new weights from the model's own initializer.

    References:
        Sixth of the NeurIPS 2023 unlearning competition (Amnesiacs; E. Triantafillou et al.,
        arXiv:2406.09073), as in X. F. Cadet et al., "Deep Unlearn", arXiv:2410.01276.

    Notes:
        The authors reset what is called ``conv1`` and ``fc``; here it is the first layer with a
        weight matrix, whatever its type, and the last linear one. New weights come from the
        model's own initializer, or from its pretraining if it has one.
    """

    fit: Fit
    warmup: Fit
    temperature: float = 5.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be > 0, got {self.temperature}")

    def __call__(self, task: UnlearningTask) -> nn.Module:
        # A set: in a network of one layer both are the same.
        names = {weighted_layers(task.model)[0][0], head(task.model)[0]}
        teacher = copy.deepcopy(task.model).eval().requires_grad_(requires_grad=False)
        reset_layers(task.model, task.fresh(f"kde {task.generator.initial_seed()}"), names)

        def teacher_logits(batch: Batch) -> Tensor:
            with torch.no_grad():
                logits: Tensor = teacher(batch.inputs)
            return logits

        def divergence(student: nn.Module, batch: Batch) -> Tensor:
            return self._divergence(task, teacher_logits(batch), student(batch.inputs))

        def follow(student: nn.Module, batch: Batch) -> Tensor:
            target, logits = teacher_logits(batch), student(batch.inputs)
            soft = task.task_type.soft_loss(logits, target, self.temperature).mean()
            loss = task.loss(logits, batch.targets).mean()
            return loss + soft + self._divergence(task, target, logits)

        aside = branch(task.generator, "kde", "warmup")
        first, second = self.warmup, self.fit
        val = shuffled(task.val, first.batch_size, aside, augment=first.augment)
        retain = shuffled(task.retain, second.batch_size, task.generator, augment=second.augment)
        first(task.model, val, divergence)
        return second(task.model, retain, follow, report=task.report)

    def _divergence(self, task: UnlearningTask, teacher: Tensor, student: Tensor) -> Tensor:
        scaled = task.task_type.predictive_kl(teacher, student, self.temperature).mean()
        # predictive_kl has a factor T^2, which this method does without.
        return scaled / self.temperature**2
