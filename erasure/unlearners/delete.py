"""DELETE: distill the original without its belief in the true class."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from erasure.core.pool import Batch
from erasure.core.task import UnlearningTask
from erasure.training.fit import Fit
from erasure.training.passes import shuffled
from erasure.training.teachers import TeacherTarget, teacher_logits
from erasure.unlearners.shared.requirements import require_one_label


@dataclass(frozen=True, kw_only=True)
class Delete:
    r"""Minimize :math:`KL(softmax(\tilde t) || softmax(f(x)))` on the forget set.

    :math:`\tilde t` are the logits of the frozen original, in eval mode, with the true class
    masked out: the other classes keep their proportions. Mean over the batch, temperature 1. One
    epoch is one pass over the forget set; the retain set is never read.

    Args:
        fit: Optimizer, epochs and batch size. Its mode matters: batch normalization in ``train``
            or ``frozen_norm`` needs different rates.

    Passes:
        E + 1 over forget, 0 over retain.

    Deviations:
        Random forget sets are allowed, and end below test accuracy.

    References:
        Y. Zhou, D. Zheng, Q. Mo, R. Lu, K. Lin and W. Zheng, "Decoupled Distillation to Erase: A
        General Unlearning Method for Any Class-centric Tasks", CVPR 2025, arXiv:2503.23751.

    Notes:
        Made for whole classes. A random forget set is possible, but its samples end with no
        probability for their true class, where retraining would leave them at test accuracy.
        The authors mask with -1e10, here it is half the lowest number there is.
    """

    fit: Fit

    def __call__(self, task: UnlearningTask) -> nn.Module:
        require_one_label(task.forget, "delete", "random_labels")
        teacher = copy.deepcopy(task.model).eval().requires_grad_(requires_grad=False)
        target = TeacherTarget(teacher, task.forget, "original")
        original_logits = teacher_logits(task, [target], augment=self.fit.augment)

        def objective(student: nn.Module, batch: Batch) -> Tensor:
            without_label = _without(original_logits(batch), batch.targets)
            return task.task_type.predictive_kl(without_label, student(batch.inputs), 1.0).mean()

        batches = shuffled(
            task.forget, self.fit.batch_size, task.generator, augment=self.fit.augment
        )
        return self.fit(task.model, batches, objective, report=task.report)


def _without(logits: Tensor, targets: Tensor) -> Tensor:
    """Mask the true class of logits ``(B, C)``; half the lowest number stays finite in a sum."""
    lowest = torch.finfo(logits.dtype).min / 2
    return logits.scatter(1, targets[:, None], lowest)
