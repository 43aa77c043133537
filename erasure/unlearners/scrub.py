"""SCRUB: a student that disobeys its teacher on the forget set and obeys on the rest."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from erasure.core.errors import ConfigError
from erasure.core.pool import Batch
from erasure.core.seeding import branch
from erasure.core.task import UnlearningTask
from erasure.training.fit import Fit, Objective
from erasure.training.passes import shuffled
from erasure.training.teachers import TeacherTarget, teacher_logits


@dataclass(frozen=True, kw_only=True)
class Scrub:
    r"""Alternate between leaving the original on the forget set and following it elsewhere.

    With the frozen original as teacher and :math:`d = T^2 KL(teacher || student)` at temperature
    T, each epoch makes one pass over the forget set that maximizes :math:`d` (in the first
    ``msteps`` epochs only) and then one pass over the retain set that minimizes
    :math:`\gamma L + \alpha d`. One optimizer serves both; labels of the forget set are not used.

    Args:
        fit: Optimizer, number of epochs, and batch size on the retain set.
        msteps: Number of epochs that have a maximizing pass. The divergence has no upper bound:
            too many destroy the model.
        alpha: Weight of the divergence on the retain set, at least 0.
        gamma: Weight of the training loss on the retain set, at least 0.
        temperature: Temperature of both softmax functions, above 0.
        forget_batch_size: Batch size on the forget set; smaller means more maximizing steps.
        decay_epochs: Epochs after which the learning rate is multiplied by ``decay``.
        decay: That factor, in (0, 1].

    Passes:
        ``msteps`` + 1 over forget, E + 1 over retain.

    Deviations:
        One optimizer for both passes and T² in the divergence, as in the authors' code.

    References:
        M. Kurmanji, P. Triantafillou, J. Hayes and E. Triantafillou, "Towards Unbounded Machine
        Unlearning", NeurIPS 2023, arXiv:2302.09880.

    Notes:
        At the start student and teacher agree, and the divergence has no gradient. In a network
        without batch normalization or dropout the first maximizing pass therefore moves nothing
        but what weight decay moves; with batch normalization in train mode batch statistics make
        the difference.
    """

    fit: Fit
    msteps: int = 3
    alpha: float = 0.5
    gamma: float = 1.0
    temperature: float = 2.0
    forget_batch_size: int = 64
    decay_epochs: Sequence[int] = ()
    decay: float = 0.1

    def __post_init__(self) -> None:
        if self.msteps < 0:
            raise ConfigError(f"msteps must be >= 0, got {self.msteps}")
        for name in ("alpha", "gamma"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must be >= 0, got {getattr(self, name)}")
        if self.temperature <= 0:
            raise ConfigError(f"temperature must be > 0, got {self.temperature}")
        if self.forget_batch_size < 1:
            raise ConfigError(f"forget_batch_size must be >= 1, got {self.forget_batch_size}")
        if not 0.0 < self.decay <= 1.0:
            raise ConfigError(f"decay must be in (0, 1], got {self.decay}")
        if self.fit.schedule is not None:
            raise ConfigError("fit.schedule must be null: decay_epochs and decay set the rate")

    def __call__(self, task: UnlearningTask) -> nn.Module:
        teacher = copy.deepcopy(task.model).eval().requires_grad_(requires_grad=False)
        leave, follow = self._objectives(task, teacher)
        aside = branch(task.generator, "scrub", "forget")
        augment = self.fit.augment
        forget = shuffled(task.forget, self.forget_batch_size, aside, augment=augment)
        retain = shuffled(task.retain, self.fit.batch_size, task.generator, augment=augment)
        # One optimizer for both passes, as in the authors' code: its momentum crosses over.
        loop = self.fit.loop(task.model, steps=0)
        for epoch in range(1, self.fit.epochs + 1):
            # Strictly after: with decay_epochs [5] the sixth epoch is the first at a lower rate.
            loop.scale_lr(self.decay ** sum(epoch > at for at in self.decay_epochs))
            curves = {}
            if epoch <= self.msteps:
                curves["forget_divergence"] = -loop.run(forget, leave)
            curves["loss"] = loop.run(retain, follow)
            task.report(epoch, self.fit.epochs, **curves)
        return task.model

    def _objectives(
        self, task: UnlearningTask, teacher: nn.Module
    ) -> tuple[Objective[Batch], Objective[Batch]]:
        targets = [TeacherTarget(teacher, view, "original") for view in (task.forget, task.retain)]
        logits_of = teacher_logits(task, targets, augment=self.fit.augment)

        def divergence(logits: Tensor, batch: Batch) -> Tensor:
            return task.task_type.predictive_kl(logits_of(batch), logits, self.temperature).mean()

        def leave(student: nn.Module, batch: Batch) -> Tensor:
            return -divergence(student(batch.inputs), batch)

        def follow(student: nn.Module, batch: Batch) -> Tensor:
            logits = student(batch.inputs)
            loss = task.loss(logits, batch.targets).mean()
            return self.gamma * loss + self.alpha * divergence(logits, batch)

        return leave, follow
