"""The only gradient loop: methods say what to descend, this says how."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from erasure.core.errors import ConfigError, DivergedError, UnsupportedError
from erasure.core.task import Report, silent
from erasure.training.passes import Pass

T = TypeVar("T")
Mode = Literal["train", "eval", "frozen_norm"]
Objective = Callable[[nn.Module, T], Tensor]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Optimizer, length and habits of a gradient loop.

    Args:
        optimizer: Builds the optimizer from parameters.
        epochs: Number of passes; 0 changes nothing.
        batch_size: Samples per step.
        schedule: Builds a learning-rate schedule from the optimizer and the number of steps.
        clip: Largest norm of the gradient; None does not clip.
        mode: State of the model during a step. ``train``: batch statistics and dropout;
            ``eval``: neither; ``frozen_norm``: dropout, but batch normalization keeps using and
            does not change its running statistics.
        augment: Augment training batches, where the data set has an augmentation.
    """

    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer]
    epochs: int
    batch_size: int
    schedule: Callable[[Optimizer, int], LRScheduler] | None = None
    clip: float | None = None
    mode: Mode = "train"
    augment: bool = True

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise ConfigError(f"epochs must be >= 0, got {self.epochs}")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size must be >= 1, got {self.batch_size}")
        if self.clip is not None and not self.clip > 0:
            raise ConfigError(f"clip must be > 0 or null, got {self.clip}")
        if self.mode not in ("train", "eval", "frozen_norm"):
            raise ConfigError(f"mode must be train, eval or frozen_norm, got {self.mode!r}")
        try:
            # Built once for nothing: a wrong setting is refused before anything is trained.
            self.optimizer([nn.Parameter(torch.zeros(1))])
        except (TypeError, ValueError, RuntimeError) as error:
            raise ConfigError(f"optimizer cannot be built: {error}") from error

    def __call__(
        self,
        model: nn.Module,
        batches: Pass[T],
        objective: Objective[T],
        *,
        report: Report = silent,
    ) -> nn.Module:
        """Descend ``objective`` for all epochs and return ``model``.

        Raises:
            DivergedError: If the mean loss of an epoch is not finite.
        """
        loop = self.loop(model, self.epochs * batches.steps)
        for epoch in range(1, self.epochs + 1):
            loss = loop.run(batches, objective)
            report(epoch, self.epochs, loss=loss)
        return model

    def loop(self, model: nn.Module, steps: int) -> "Loop":
        """Return a loop of one optimizer over ``steps`` steps, to be driven pass by pass."""
        optimizer = self.optimizer([p for p in model.parameters() if p.requires_grad])
        schedule = None
        # A run without steps has no schedule: those of torch divide by the number of steps.
        if self.schedule is not None and steps > 0:
            schedule = self.schedule(optimizer, steps)
        return Loop(self, model, optimizer, schedule)


@dataclass(frozen=True)
class Loop:
    """A model under one optimizer and schedule, across any number of passes."""

    fit: Fit
    model: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler | None = None

    def run(self, batches: Pass[T], objective: Objective[T]) -> float:
        """Take one step per batch and return the mean of the objective.

        The objective is summed on the device and read once, so that a GPU never waits.

        Raises:
            DivergedError: If that mean is not finite.
        """
        set_mode(self.model, self.fit.mode)
        total = torch.zeros((), device=next(self.model.parameters()).device)
        for batch in batches.start():
            total += self._step(batch, objective)
        mean = (total / max(batches.steps, 1)).item()
        if not math.isfinite(mean):
            raise DivergedError(
                f"the training loss became {mean}; a smaller learning rate "
                f"(fit.optimizer.lr) or gradient clipping (fit.clip) may help"
            )
        return mean

    def scale_lr(self, factor: float) -> None:
        """Set every learning rate to ``factor`` times the rate the optimizer started with."""
        for group in self.optimizer.param_groups:
            # the rate before the first scaling: factors do not multiply up
            group.setdefault("first_lr", group["lr"])
            group["lr"] = group["first_lr"] * factor

    def _step(self, batch: T, objective: Objective[T]) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        try:
            loss = objective(self.model, batch)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise UnsupportedError(
                "batch normalization cannot normalize a batch of one sample; use a larger "
                "forget set, or fit.mode=frozen_norm"
            ) from error
        loss.backward()
        if self.fit.clip is not None:
            moving = [p for group in self.optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(moving, self.fit.clip)
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
        return loss.detach()


def set_mode(model: nn.Module, mode: Mode) -> None:
    """Put ``model`` into the state in which a phase takes its steps."""
    model.train(mode != "eval")
    if mode == "frozen_norm":
        for module in model.modules():
            # Private, but the only base that torch's batch and instance normalization share.
            if isinstance(module, _NormBase):
                module.eval()
