"""Floating-point operations of a training step, counted once and never while a clock runs."""

import torch
from torch import nn

from erasure.core.context import evaluating
from erasure.core.splits import View


def sample_flops(model: nn.Module, view: View, batch_size: int) -> float:
    """Return the floating-point operations of one forward and backward pass, per sample.

    Counted are matrix products, convolutions and attention, two for a multiply-add, on the first
    batch of ``view``; the gradients are those of the parameters that require one, the inputs need
    none. The model runs in eval mode and is left as it was.

    Args:
        model: The model.
        view: Samples, at least one.
        batch_size: Samples in the batch, where there are as many.
    """
    from torch.utils.flop_counter import FlopCounterMode

    (batch,) = view.take(torch.arange(min(batch_size, len(view)))).batches(batch_size)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    counter = FlopCounterMode(display=False)
    with evaluating(model), torch.enable_grad(), counter:
        loss = view.pool.task.loss(model(batch.inputs), batch.targets).mean()
        if weights:
            torch.autograd.grad(loss, weights, allow_unused=True)
    return float(counter.get_total_flops()) / len(batch.ids)
