"""Many models of one recipe, by which attacks and nulls are calibrated."""

from typing import Literal, Protocol

from torch import Tensor

from erasure.core.splits import View

ReferenceRole = Literal["original", "unlearned", "gold", "shadow", "shadow_unlearned"]
"""Roles of which there may be many models: same recipe, other seeds.

Shadows are trained on random halves of training and held-out samples; unlearned shadows have
forgotten a random part of their half.
"""


class ReferenceModels(Protocol):
    """Many models of one recipe, by which attacks and nulls are calibrated."""

    def size(self, role: ReferenceRole) -> int:
        """Return how many models there are in a role; 0 where there are none."""

    def logits(self, role: ReferenceRole, view: View) -> Tensor:
        """Return the logits ``(N, n, C)`` of all models of a role: float32, CPU, computed once.

        The k-th unlearned model was made from the k-th original, and the k-th gold shares its
        seed.
        """

    def trained_on(self, role: ReferenceRole, view: View) -> Tensor:
        """Return which samples each model was trained on at first, ``(N, n)`` bool."""

    def forgotten_by(self, role: ReferenceRole, view: View) -> Tensor:
        """Return which samples each model has unlearned since, ``(N, n)`` bool."""
