"""Inputs that are learned, and the range in which inputs live."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor, nn

from erasure.core.errors import ConfigError
from erasure.core.splits import View
from erasure.core.task import UnlearningTask
from erasure.training.fit import Mode, set_mode


@dataclass(frozen=True, kw_only=True)
class NoiseSearch:
    """Finds inputs by gradient descent, as one finds weights.

    Args:
        lr: Rate of Adam, above 0.
        steps: Number of steps, at least 0.
        mode: State of the network during the search; in ``train`` the running statistics of
            batch normalization follow the noise.
    """

    lr: float
    steps: int
    mode: Mode = "eval"

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise ConfigError(f"lr must be > 0, got {self.lr}")
        if self.steps < 0:
            raise ConfigError(f"steps must be >= 0, got {self.steps}")
        if self.mode not in get_args(Mode):
            raise ConfigError(f"mode must be train, eval or frozen_norm, got {self.mode!r}")

    def __call__(
        self, model: nn.Module, start: Tensor, objective: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Return the inputs that descending ``objective`` reaches from ``start`` (B, ...).

        Parameters of ``model`` and their gradients are left alone, and its flags are restored.
        """
        noise = start.clone().requires_grad_()
        adam = torch.optim.Adam([noise], lr=self.lr)
        with in_mode(model, self.mode), torch.enable_grad():
            for _ in range(self.steps):
                # Not backward(), which would add to the gradients of the parameters too.
                (noise.grad,) = torch.autograd.grad(objective(noise), [noise])
                adam.step()
        return noise.detach()


def input_range(task: UnlearningTask, view: View) -> tuple[Tensor, Tensor]:
    """Return the smallest and the largest input of ``view``, each ``(1, K, 1, ...)``.

    There are K of each, along the first dimension of a sample: one per channel of images, one per
    column of a table. Costs a pass over ``view``.
    """

    def compute() -> Mapping[str, Tensor]:
        lows, highs = [], []
        for batch in view.batches(1024):
            # All dimensions but the first of a sample.
            rest = [0, *range(2, batch.inputs.ndim)]
            lows.append(batch.inputs.amin(dim=rest, keepdim=True))
            highs.append(batch.inputs.amax(dim=rest, keepdim=True))
        low, high = torch.cat(lows).amin(0, keepdim=True), torch.cat(highs).amax(0, keepdim=True)
        return {"low": low, "high": high}

    bounds = task.cached("input_range", view, compute)
    return bounds["low"], bounds["high"]


@contextmanager
def in_mode(model: nn.Module, mode: Mode) -> Iterator[None]:
    """Put ``model`` into ``mode`` for a block and give every module its own flag back."""
    flags = [(module, module.training) for module in model.modules()]
    set_mode(model, mode)
    try:
        yield
    finally:
        for module, flag in flags:
            module.training = flag
