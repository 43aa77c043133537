"""Random labels: train on with other labels on the forget set."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, nn

from erasure.core.errors import ConfigError
from erasure.core.pool import Batch
from erasure.core.seeding import branch
from erasure.core.splits import View
from erasure.core.task import UnlearningTask
from erasure.training.fit import Fit
from erasure.training.passes import Pass

ORDERS = ("sequential_resample", "mixed_resample", "mixed_fixed")


@dataclass(frozen=True, kw_only=True)
class RandomLabels:
    r"""Minimize :math:`L(f(x), \tilde y)` on the forget set and :math:`L(f(x), y)` elsewhere.

    Args:
        fit: Optimizer, epochs and batch size, the same for both sets.
        order: ``sequential_resample``: every epoch draws new labels and makes one pass over the
            forget set, then one over the retain set; ``mixed_resample``: every epoch draws new
            labels and makes one pass over both, shuffled together; ``mixed_fixed``: the same with
            labels drawn once.
        exclude_true: Whether a drawn label differs from the true one. None does what the code
            that the order is from does: true labels are possible, except in ``mixed_fixed``.
        retain_share: Share of the retain set that is trained on, chosen once, in ``[0, 1]``.

    Passes:
        E over forget, E of ``retain_share`` over retain.

    Deviations:
        Labels are redrawn per epoch, not per batch (the same law).

    References:
        A. Golatkar et al., CVPR 2020, arXiv:1911.04933; L. Graves, V. Nagisetty and V. Ganesh,
        "Amnesiac Machine Learning", AAAI 2021, arXiv:2010.10981. The orders are those of the code
        of SalUn (Fan et al., ICLR 2024, arXiv:2310.12508) and of "Can Bad Teaching Induce
        Forgetting?" (Chundawat et al., AAAI 2023, arXiv:2205.08096), which calls it amnesiac.

    Notes:
        Labels are redrawn per epoch instead of per batch, which is the same law, since an epoch
        sees every sample once. Where any number of labels may be on, each is drawn with its
        frequency in the training set.
    """

    fit: Fit
    order: Literal["sequential_resample", "mixed_resample", "mixed_fixed"] = "sequential_resample"
    exclude_true: bool | None = None
    retain_share: float = 1.0

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise ConfigError(f"order must be one of {', '.join(ORDERS)}, got {self.order!r}")
        if not 0.0 <= self.retain_share <= 1.0:
            raise ConfigError(f"retain_share must be in [0, 1], got {self.retain_share}")

    def __call__(self, task: UnlearningTask) -> nn.Module:
        passes = self._passes(task)
        steps = sum(batches.steps for batches in passes.values())
        loop = self.fit.loop(task.model, self.fit.epochs * steps)
        for epoch in range(1, self.fit.epochs + 1):
            losses = {name: loop.run(batches, task.objective) for name, batches in passes.items()}
            task.report(epoch, self.fit.epochs, **losses)
        return task.model

    def _passes(self, task: UnlearningTask) -> Mapping[str, Pass[Batch]]:
        forget = self._relabeled(task, branch(task.generator, "random_labels", "labels"))
        retain = self._kept(task.retain, branch(task.generator, "random_labels", "retain"))
        if self.order != "sequential_resample":
            # Only for its length: what is visited has other labels.
            both = task.forget + retain
            return {"loss": self._pass(both, lambda: forget() + retain, task.generator)}
        aside = branch(task.generator, "random_labels", "forget")
        passes = {"forget_loss": self._pass(task.forget, forget, aside)}
        if len(retain) > 0:
            passes["loss"] = self._pass(retain, lambda: retain, task.generator)
        return passes

    def _pass(self, view: View, make: Callable[[], View], generator: Generator) -> Pass[Batch]:
        """Return passes over what ``make`` returns anew each time, as many samples as ``view``."""
        size, augment = self.fit.batch_size, self.fit.augment
        return Pass(
            view.num_batches(size),
            lambda: make().batches(size, generator=generator, augment=augment),
        )

    def _relabeled(self, task: UnlearningTask, generator: Generator) -> Callable[[], View]:
        """Return what gives the forget set under random labels."""
        fixed = self.order == "mixed_fixed"
        exclude = fixed if self.exclude_true is None else self.exclude_true
        draw = task.task_type.wrong_labels if exclude else task.task_type.any_labels
        # Drawn for all training samples: the few to forget say little about label frequencies.
        targets = (task.forget + task.retain).targets

        def relabel() -> View:
            return task.forget.relabel(
                draw(targets, task.num_classes, generator)[: len(task.forget)]
            )

        if not fixed:
            return relabel
        once = relabel()
        return lambda: once

    def _kept(self, retain: View, generator: Generator) -> View:
        if self.retain_share == 1.0:
            return retain
        order = torch.randperm(len(retain), generator=generator)
        return retain.take(order[: round(self.retain_share * len(retain))].sort().values)
