"""Reference models that look their logits up, for tests of attacks that need many models."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass
class Tables:
    """Logits ``(N, pool, C)`` and who was trained on what ``(N, pool)``, by role."""

    tables: dict[str, Tensor]
    seen: dict[str, Tensor]

    def size(self, role):
        return len(self.tables.get(role, []))

    def logits(self, role, view):
        return self.tables[role][:, view.index]

    def trained_on(self, role, view):
        return self.seen[role][:, view.index]

    def forgotten_by(self, role, view):
        return torch.zeros_like(self.trained_on(role, view))


def balanced_halves(num_models, num_samples, generator):
    """Return who saw what ``(N, n)`` bool; each sample is in exactly half of the models."""
    order = torch.rand(num_models, num_samples, generator=generator).argsort(dim=0)
    return order < num_models // 2


def with_references(ctx, tables, seen=None):
    """Return ``ctx`` with reference models; without ``seen`` nothing was trained on."""
    blank = {role: torch.zeros(t.shape[:2], dtype=torch.bool) for role, t in tables.items()}
    return replace(ctx, references=Tables(tables, {**blank, **(seen or {})}))
