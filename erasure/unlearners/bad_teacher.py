"""Bad teaching: follow an untrained network on the forget set and the original elsewhere."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor, nn

from erasure.core.errors import ConfigError
from erasure.core.pool import Batch
from erasure.core.seeding import branch
from erasure.core.splits import View
from erasure.core.task import UnlearningTask
from erasure.training.fit import Fit, Objective
from erasure.training.passes import shuffled
from erasure.training.teachers import TeacherTarget, teacher_logits


@dataclass(frozen=True, kw_only=True)
class BadTeacher:
    r"""Minimize :math:`KL(teacher || student)` with a teacher that depends on the sample.

    With u = 1 on the forget set and 0 on the retain set the target is
    :math:`u\, softmax(bad / T) + (1 - u)\, softmax(good / T)`, where ``good`` is the frozen
    original and ``bad`` the same architecture with weights that never saw data, both in eval
    mode. One epoch is one shuffled pass over the forget set and a random share of the retain
    set, drawn once. Labels are not used.

    Args:
        fit: Optimizer, epochs and batch size.
        retain_share: Share of the retain set that is used, in (0, 1].
        temperature: Temperature of all softmax functions, above 0; without the factor
            :math:`T^2`.
        reduction: ``batchmean`` divides the divergence by the number of samples; ``elementmean``
            by the number of samples and classes, as the authors' code does, which makes the
            gradient smaller by the number of classes.

    Passes:
        E + 1 over forget, 0.3 (E + 1) over retain.

    Deviations:
        Divergence is a mean over samples; the authors also divide by classes (``reduction:
        elementmean``).

    References:
        V. Chundawat, A. Tarun, M. Mandal and M. Kankanhalli, "Can Bad Teaching Induce
        Forgetting?", AAAI 2023, arXiv:2205.08096.

    Notes:
        The output of an untrained network hardly depends on its input, so accuracy on the forget
        set goes to about chance, also where retraining would keep it at test accuracy.
        The authors' step leaves the mode of the student as it finds it, which for a model just
        built is train mode: that is ``fit.mode=train``.
    """

    fit: Fit
    retain_share: float = 0.3
    temperature: float = 1.0
    reduction: Literal["batchmean", "elementmean"] = "batchmean"

    def __post_init__(self) -> None:
        if not 0.0 < self.retain_share <= 1.0:
            raise ConfigError(f"retain_share must be in (0, 1], got {self.retain_share}")
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be > 0, got {self.temperature}")
        if self.reduction not in ("batchmean", "elementmean"):
            raise ConfigError(
                f"reduction must be batchmean or elementmean, got {self.reduction!r}"
            )

    def __call__(self, task: UnlearningTask) -> nn.Module:
        good = copy.deepcopy(task.model).eval().requires_grad_(requires_grad=False)
        salt = f"bad_teacher {task.generator.initial_seed()}"  # the method's draw, not training's
        bad = task.fresh(salt=salt).eval().requires_grad_(requires_grad=False)
        # At least one: without any sample of retain nothing holds the model together.
        count = max(1, int(self.retain_share * len(task.retain)))
        keep = _drawn(task.retain, count, branch(task.generator, "bad_teacher", "retain"))
        targets = [TeacherTarget(bad, task.forget, salt), TeacherTarget(good, keep, "original")]
        size, augment = self.fit.batch_size, self.fit.augment
        batches = shuffled(task.forget + keep, size, task.generator, augment=augment)
        return self.fit(task.model, batches, self._objective(task, targets), report=task.report)

    def _objective(
        self, task: UnlearningTask, targets: Sequence[TeacherTarget]
    ) -> Objective[Batch]:
        teacher_of = teacher_logits(task, targets, augment=self.fit.augment)
        classes = task.num_classes if self.reduction == "elementmean" else 1
        scale = self.temperature**2 * classes  # the divergence of the task has the factor T^2

        def objective(student: nn.Module, batch: Batch) -> Tensor:
            logits = student(batch.inputs)
            kl = task.task_type.predictive_kl(teacher_of(batch), logits, self.temperature)
            return kl.mean() / scale

        return objective


def _drawn(view: View, count: int, generator: Generator) -> View:
    return view.take(torch.randperm(len(view), generator=generator)[:count])
