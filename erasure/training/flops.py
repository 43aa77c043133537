"""Floating-point operations of a training step, counted once and never while a clock runs."""

from typing import NamedTuple

import torch
from torch import nn

from erasure.core.modes import evaluating
from erasure.core.splits import View

FIXED = 0.5
"""If one sample costs this share of a batch or more, the cost is that of the step."""


class StepFlops(NamedTuple):
    """Operations of a forward and backward pass; one of the two is 0.

    Args:
        per_sample: For each sample in the batch.
        per_step: For each batch, however many samples it has: the nodes of a graph are read out
            of one pass over all of it.
    """

    per_sample: float
    per_step: float


def step_flops(model: nn.Module, view: View, batch_size: int) -> StepFlops:
    """Return the floating-point operations of one forward and backward pass.

    Counted are matrix products, convolutions and attention, two for a multiply-add, on the first
    batch of ``view``; the gradients are those of the parameters that require one, the inputs need
    none. The model runs in eval mode and is left as it was.

    Args:
        model: The model.
        view: Samples, at least one.
        batch_size: Samples in the batch, where there are as many.
    """
    size = min(batch_size, len(view))
    whole = _counted(model, view.take(torch.arange(size)))
    # One sample that costs as much as many is the sign of a graph, which is read whole.
    # Nothing may be counted at all: hence the comparison with 0.
    if size > 1 and _counted(model, view.take(torch.arange(1))) > FIXED * whole > 0:
        return StepFlops(0.0, whole)
    return StepFlops(whole / size, 0.0)


def _counted(model: nn.Module, view: View) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    (batch,) = view.batches(len(view))
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    counter = FlopCounterMode(display=False)
    with evaluating(model), torch.enable_grad(), counter:
        loss = view.pool.task_type.loss(model(batch.inputs), batch.targets).mean()
        if weights:
            # Not backward(), which would leave gradients behind.
            torch.autograd.grad(loss, weights, allow_unused=True)
    return float(counter.get_total_flops())
