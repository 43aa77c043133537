"""Reference models that look their logits up, for tests of what needs many models.

Either the logits are given as tables, or as the margin that each sample shall have.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

PARTS = ("forget", "retain", "val", "test")
CLASSES = 3


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


@dataclass
class Forgetful(Tables):
    """Tables that also know what each unlearned shadow has forgotten."""

    forgotten: object = None

    def forgotten_by(self, role, view):
        if self.forgotten is None or role != "shadow_unlearned":
            return super().forgotten_by(role, view)
        return self.forgotten[:, view.index]


def normal(*shape, seed=0, mean=0.0, sd=1.0):
    generator = torch.Generator().manual_seed(seed)
    return mean + sd * torch.randn(*shape, generator=generator, dtype=torch.float64)


def logits_of(margins, labels):
    """Return logits ``(..., n, 3)`` whose logit-scaled confidence is ``margins`` (..., n)."""
    others = -torch.log(torch.tensor(CLASSES - 1.0, dtype=torch.float64))
    logits = others.expand(*margins.shape, CLASSES).clone()
    columns = labels.expand(margins.shape).unsqueeze(-1)
    return logits.scatter(-1, columns, margins.unsqueeze(-1))


def crafted(make_ctx, roles, *, seen=None, forgotten=None, **options):
    """Return a context with reference models that have the margins ``(N, n)`` by role and part.

    The models of the trial are the first of each role. Parts that a role lacks have margins 0.
    Labels are 0, 1, 2, 0, ... in each part.
    """
    sizes = {
        part: next(iter(roles.values())).get(part, torch.zeros(1, 4)).shape[-1] for part in PARTS
    }
    labels = {part: torch.arange(size) % CLASSES for part, size in sizes.items()}
    tables = {}
    for role, margins in roles.items():
        count = len(next(iter(margins.values())))
        of_parts = [
            margins.get(p, torch.zeros(count, n, dtype=torch.float64)) for p, n in sizes.items()
        ]
        all_labels = torch.cat(list(labels.values()))
        tables[role] = logits_of(torch.cat(of_parts, dim=1), all_labels)
    models = [who for who in ("original", "unlearned", "gold") if who in roles]
    starts = torch.tensor([0, *sizes.values()]).cumsum(0).tolist()
    parts = {
        part: (labels[part], {who: tables[who][0, begin : begin + sizes[part]] for who in models})
        for part, begin in zip(PARTS, starts, strict=False)
    }
    blank = {role: torch.zeros(t.shape[:2], dtype=torch.bool) for role, t in tables.items()}
    references = Forgetful(tables, {**blank, **(seen or {})}, forgotten)
    return replace(make_ctx(parts, **options), references=references)
