"""Accuracy for methods that watch themselves; evaluation has its own cached logits."""

from typing import Literal

import torch
from torch import nn

from erasure.core.errors import ConfigError
from erasure.core.modes import evaluating
from erasure.core.splits import View
from erasure.core.task import UnlearningTask

Stop = Literal["never", "val", "chance"]
"""When a method that ascends has ascended enough, by its accuracy on the forget set."""


def has_forgotten(task: UnlearningTask, stop: Stop) -> bool:
    """Tell whether the accuracy of ``task.model`` on the forget set is low enough.

    Args:
        task: The request.
        stop: ``val``: no higher than on the validation set, as for random samples; ``chance``:
            no higher than one over the number of classes, as for whole classes. ``never`` reads
            nothing.
    """
    if stop == "never":
        return False
    target = 1.0 / task.num_classes if stop == "chance" else accuracy(task.model, task.val)
    return accuracy(task.model, task.forget) <= target


def check_stop(stop: Stop) -> None:
    """Refuse a rule that does not exist.

    Raises:
        ConfigError: If ``stop`` is none of the rules.
    """
    if stop not in ("never", "val", "chance"):
        raise ConfigError(f"stop must be never, val or chance, got {stop!r}")


def accuracy(model: nn.Module, view: View, batch_size: int = 1024) -> float:
    """Return the share of ``view`` that ``model`` classifies correctly, in eval mode."""
    kind = view.pool.task_type
    with evaluating(model), torch.inference_mode():
        correct = [
            kind.correct(model(batch.inputs), batch.targets).sum()
            for batch in view.batches(batch_size)
        ]
    # Read from the device once, not after every batch.
    return int(torch.stack(correct).sum()) / len(view)
