"""Learning-rate schedules that know the length of the run; each steps once per batch."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LambdaLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
)

from erasure.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Fall from the optimizer's rate to ``final`` times it along half a cosine.

    Args:
        final: Last rate as a share of the first, in [0, 1].
        levels: Number of equal parts of the run in which the rate stays what it was at the start
            of the part: the number of epochs makes it fall once per epoch. None lets it fall at
            every step.
    """

    final: float = 0.0
    levels: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.final <= 1.0:
            raise ConfigError(f"final must be in [0, 1], got {self.final}")
        if self.levels is not None and self.levels < 0:
            raise ConfigError(f"levels must be >= 0 or null, got {self.levels}")

    def __call__(self, optimizer: Optimizer, steps: int) -> LRScheduler:
        """Return the schedule for a run of ``steps`` batches."""
        if self.levels:
            return LambdaLR(optimizer, self._staircase(steps, self.levels))
        # One floor for all parameter groups, by the rate of the first.
        lowest = self.final * float(optimizer.param_groups[0]["lr"])
        return CosineAnnealingLR(optimizer, T_max=steps, eta_min=lowest)

    def _staircase(self, steps: int, levels: int) -> Callable[[int], float]:
        def factor(step: int) -> float:
            # In integers: a float product may fall just short of a level.
            progress = min(step * levels // steps, levels) / levels
            return self.final + (1.0 - self.final) * (1.0 + math.cos(math.pi * progress)) / 2.0

        return factor


@dataclass(frozen=True, kw_only=True)
class OneCycle:
    """Rise to ``max_lr`` over the first part of the run, then fall to almost nothing.

    Args:
        max_lr: Highest rate, replacing the optimizer's own.
        rise: Share of the run spent rising, in (0, 1).

    References:
        L. Smith and N. Topin, "Super-Convergence", 2017, arXiv:1708.07120.
    """

    max_lr: float
    rise: float = 0.3

    def __post_init__(self) -> None:
        if self.max_lr <= 0:
            raise ConfigError(f"max_lr must be > 0, got {self.max_lr}")
        if not 0.0 < self.rise < 1.0:
            raise ConfigError(f"rise must be in (0, 1), got {self.rise}")

    def __call__(self, optimizer: Optimizer, steps: int) -> LRScheduler:
        """Return the schedule for a run of ``steps`` batches."""
        points = steps + 1  # the last is the rate that is left after the run
        # torch divides by the length of the rise, which is zero if it has a single point
        rise = self.rise - 1e-9 if self.rise * points == 1.0 else self.rise
        return OneCycleLR(optimizer, self.max_lr, total_steps=points, pct_start=rise)


@dataclass(frozen=True, kw_only=True)
class MultiStep:
    """Multiply the rate by ``factor`` at given points of the run.

    Args:
        at: Points as shares of the run, each in (0, 1).
        factor: Multiplier, in (0, 1).
    """

    at: Sequence[float] = (0.5, 0.75)
    factor: float = 0.1

    def __post_init__(self) -> None:
        if not all(0.0 < point < 1.0 for point in self.at):
            raise ConfigError(f"at must hold shares in (0, 1), got {list(self.at)}")
        if not 0.0 < self.factor < 1.0:
            raise ConfigError(f"factor must be in (0, 1), got {self.factor}")

    def __call__(self, optimizer: Optimizer, steps: int) -> LRScheduler:
        """Return the schedule for a run of ``steps`` batches."""
        milestones = [round(point * steps) for point in self.at]
        return MultiStepLR(optimizer, milestones, gamma=self.factor)


@dataclass(frozen=True, kw_only=True)
class WarmRestarts:
    """Fall along half a cosine again and again, each time over twice as long as before.

    The first cycle is one level long, and the rate is constant within a level.

    Args:
        levels: Number of levels of the run, at least 0; the number of epochs makes a level an
            epoch.
        final: Rate towards the end of a cycle as a share of the first, in [0, 1].

    References:
        I. Loshchilov and F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts",
        ICLR 2017, arXiv:1608.03983.
    """

    levels: int
    final: float = 0.0

    def __post_init__(self) -> None:
        if self.levels < 0:
            raise ConfigError(f"levels must be >= 0, got {self.levels}")
        if not 0.0 <= self.final <= 1.0:
            raise ConfigError(f"final must be in [0, 1], got {self.final}")

    def __call__(self, optimizer: Optimizer, steps: int) -> LRScheduler:
        """Return the schedule for a run of ``steps`` batches."""

        def factor(step: int) -> float:
            # The scheduler also asks for the rate after the last step: that of the last level.
            part = min(step * self.levels // steps, self.levels - 1) + 1
            begun = 2 ** (part.bit_length() - 1)  # cycle c holds the parts 2^c to 2^(c+1) - 1
            progress = (part - begun) / begun
            return self.final + (1.0 - self.final) * (1.0 + math.cos(math.pi * progress)) / 2.0

        return LambdaLR(optimizer, factor)
