"""Accuracy for methods that watch themselves; evaluation has its own cached logits."""

import torch
from torch import nn

from erasure.core.context import evaluating
from erasure.core.splits import View


def accuracy(model: nn.Module, view: View, batch_size: int = 1024) -> float:
    """Return the share of ``view`` that ``model`` classifies correctly, in eval mode."""
    kind = view.pool.task
    with evaluating(model), torch.inference_mode():
        correct = [
            kind.correct(model(batch.inputs), batch.targets).sum()
            for batch in view.batches(batch_size)
        ]
    return int(torch.stack(correct).sum()) / len(view)
