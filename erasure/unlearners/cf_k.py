"""CF-k: catastrophic forgetting of the last k layers."""

from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

from torch import nn

from erasure.core.errors import ConfigError
from erasure.core.task import UnlearningTask
from erasure.models.layers import tail
from erasure.training.fit import Fit
from erasure.training.restrict import frozen, frozen_statistics
from erasure.unlearners.finetune import Finetune


@dataclass(frozen=True, kw_only=True)
class CFk:
    """Fine-tune the last ``k`` layers on the retain set and freeze all before them.

    Layers with a weight of two or more dimensions count, from the end in module order and however
    deep they are nested; norms and other parameters between them are trained as well. Frozen
    parameters keep every bit: they are not in the optimizer.

    Args:
        fit: Optimizer, epochs and batch size.
        k: Number of layers, at least 1; as many as the model has, or more, trains everything.
        norms: Batch normalization among the frozen layers, while the model trains: ``train``
            normalizes by the batch and lets the running statistics follow the retain set;
            ``frozen`` uses and keeps the running statistics.

    Passes:
        0 over forget, E over retain.

    Deviations:
        Any layer with a weight of two or more dimensions counts; k beyond the number of layers
        trains everything; ``norms: frozen`` keeps the statistics of frozen norms.

    References:
        S. Goel, A. Prabhu, A. Sanyal, S.-N. Lim, P. Torr and P. Kumaraguru, "Towards Adversarial
        Evaluations for Inexact Machine Unlearning", 2022, arXiv:2201.06640.

    Notes:
        The authors' code counts two-dimensional convolutions and linear layers, and leaves the
        statistics of frozen norms to drift. Other code that bears this name counts the direct
        children of a network instead.
    """

    fit: Fit
    k: int = 2
    norms: Literal["train", "frozen"] = "train"

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError(f"k must be >= 1, got {self.k}")
        if self.norms not in ("train", "frozen"):
            raise ConfigError(f"norms must be train or frozen, got {self.norms!r}")

    def __call__(self, task: UnlearningTask) -> nn.Module:
        moving = {module for _, module in tail(task.model, self.k)}
        still = [module for module in task.model.modules() if module not in moving]
        with ExitStack() as stack:
            stack.enter_context(frozen(task.model, _names(task.model, moving)))
            if self.norms == "frozen":
                stack.enter_context(frozen_statistics(still))
            return Finetune(fit=self.fit)(task)


def _names(model: nn.Module, moving: AbstractSet[nn.Module]) -> frozenset[str]:
    """Return the parameters of ``model`` that no module of ``moving`` owns or shares."""
    # By identity: a weight that a moving layer shares has another name elsewhere.
    owned = {parameter for module in moving for parameter in module.parameters(recurse=False)}
    return frozenset(name for name, p in model.named_parameters() if p not in owned)
