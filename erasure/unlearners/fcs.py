"""FCS: flatten forget predictions, then push them apart from retain, then repair, in rounds."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from erasure.core.errors import ConfigError
from erasure.core.pool import Batch
from erasure.core.seeding import branch
from erasure.core.task import UnlearningTask
from erasure.training.fit import Fit
from erasure.training.passes import paired, shuffled


@dataclass(frozen=True, kw_only=True)
class FCS:
    r"""Flatten the predictions on forget once; then alternate contrast and repair.

    1. Minimize :math:`KL(uniform || f(x_f))` on the forget set.
    2. In each of ``rounds`` rounds, for pairs of batches with logits :math:`Z_f` and, without
       gradient, :math:`Z_r`: minimize :math:`-\mathrm{mean}\log\mathrm{softmax}(Z_f Z_r^T/\tau)`,
       the softmax over retain samples; then minimize the loss on the retain set.

    Each of the three has an optimizer of its own that lasts for the run. A round reads the
    forget set once, the retain set once to repair, and one retain batch for each forget batch.
    Labels of the forget set are not used.

    Args:
        flatten: How the first objective is minimized; its epochs are passes over forget.
        contrast: How the second is; its epochs are passes over forget in each round, its
            schedule covers all rounds.
        repair: How the third is; its epochs are passes over retain in each round, and its batch
            size is that of the retain batches of a pair as well.
        rounds: Number of rounds, at least 0.
        temperature: The temperature :math:`\tau`, above 0.

    Passes:
        1 + rounds over forget, rounds × (1 + partner batches) over retain.

    Deviations:
        The shorter set starts again, where the authors' zip stops.

    References:
        First of the NeurIPS 2023 unlearning competition (fanchuan; E. Triantafillou et al.,
        arXiv:2406.09073), as in X. F. Cadet et al., "Deep Unlearn", arXiv:2410.01276.

    Notes:
        The authors' code ends a round's contrast at the shorter of the two sets; here every
        forget batch has its turn, and the retain set starts again if it is the shorter.
    """

    flatten: Fit
    contrast: Fit
    repair: Fit
    rounds: int = 8
    temperature: float = 1.15

    def __post_init__(self) -> None:
        if self.rounds < 0:
            raise ConfigError(f"rounds must be >= 0, got {self.rounds}")
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be > 0, got {self.temperature}")

    def __call__(self, task: UnlearningTask) -> nn.Module:
        # Once, before the rounds: afterwards nothing pulls forget to the uniform distribution.
        self._flatten(task)
        pairs = paired(
            task.forget,
            task.retain,
            self.contrast.batch_size,
            branch(task.generator, "fcs", "contrast"),
            augment=self.contrast.augment,
            other_size=self.repair.batch_size,
        )
        size, augment = self.repair.batch_size, self.repair.augment
        retain = shuffled(task.retain, size, task.generator, augment=augment)
        apart = self.contrast.loop(task.model, self.rounds * self.contrast.epochs * pairs.steps)
        mend = self.repair.loop(task.model, self.rounds * self.repair.epochs * retain.steps)
        # Both loops keep their optimizer and schedule over all rounds.
        for number in range(1, self.rounds + 1):
            curves = {}
            for _ in range(self.contrast.epochs):
                curves["contrast"] = apart.run(pairs, self._contrast)
            for _ in range(self.repair.epochs):
                curves["loss"] = mend.run(retain, task.objective)
            task.report(number, self.rounds, **curves)
        return task.model

    def _flatten(self, task: UnlearningTask) -> None:
        def objective(model: nn.Module, batch: Batch) -> Tensor:
            return task.task_type.uniform_kl(model(batch.inputs)).mean()

        aside = branch(task.generator, "fcs", "flatten")
        size, augment = self.flatten.batch_size, self.flatten.augment
        self.flatten(task.model, shuffled(task.forget, size, aside, augment=augment), objective)

    def _contrast(self, model: nn.Module, pair: tuple[Batch, Batch]) -> Tensor:
        forget, retain = pair
        logits = model(forget.inputs)
        with torch.no_grad():
            others = model(retain.inputs)
        # (B, C) @ (C, B'): every retain sample is a negative, and there is no positive to pull to.
        return -F.log_softmax(logits @ others.T / self.temperature, dim=-1).mean()
