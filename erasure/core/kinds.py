"""What a task's labels mean: losses and divergences that fit them, one value per sample."""

from dataclasses import dataclass
from typing import Protocol

import torch.nn.functional as F
from torch import Tensor


class TaskKind(Protocol):
    """The part of a task that depends on the kind of its labels."""

    @property
    def name(self) -> str:
        """Short name, used in messages and tags."""

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the training loss of each sample, ``(B, C)`` and ``(B,)`` to ``(B,)``."""

    def predictive_kl(self, teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
        """Return ``T^2 KL(teacher || student)`` per sample, ``(B, C)`` twice to ``(B,)``."""


@dataclass(frozen=True)
class Multiclass:
    """Exactly one of C classes per sample; logits ``(B, C)``, targets ``(B,)`` int64."""

    name: str = "multiclass"

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the cross-entropy of each sample."""
        return F.cross_entropy(logits, targets, reduction="none")

    def predictive_kl(self, teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
        """Return ``T^2 KL(softmax(teacher / T) || softmax(student / T))`` of each sample.

        The factor keeps the size of the gradient independent of the temperature (Hinton et al.,
        "Distilling the Knowledge in a Neural Network", 2015, arXiv:1503.02531).
        """
        log_p = F.log_softmax(teacher / temperature, dim=-1)
        log_q = F.log_softmax(student / temperature, dim=-1)
        return temperature**2 * (log_p.exp() * (log_p - log_q)).sum(dim=-1)
