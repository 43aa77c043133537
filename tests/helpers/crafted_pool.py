"""Pools of reference models that give every sample the margin that a test asks for."""

from dataclasses import dataclass, replace

import torch
from reference_tables import Tables

PARTS = ("forget", "retain", "val", "test")
CLASSES = 3


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
    own = labels.expand(margins.shape).unsqueeze(-1)
    return logits.scatter(-1, own, margins.unsqueeze(-1))


def crafted(make_ctx, roles, *, seen=None, forgotten=None, **options):
    """Return a context with a pool of margins ``(N, n)`` by role and part.

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
        every = [
            margins.get(p, torch.zeros(count, n, dtype=torch.float64)) for p, n in sizes.items()
        ]
        own = torch.cat(list(labels.values()))
        tables[role] = logits_of(torch.cat(every, dim=1), own)
    models = [who for who in ("original", "unlearned", "gold") if who in roles]
    starts = torch.tensor([0, *sizes.values()]).cumsum(0).tolist()
    parts = {
        part: (labels[part], {who: tables[who][0, begin : begin + sizes[part]] for who in models})
        for part, begin in zip(PARTS, starts, strict=False)
    }
    blank = {role: torch.zeros(t.shape[:2], dtype=torch.bool) for role, t in tables.items()}
    references = Forgetful(tables, {**blank, **(seen or {})}, forgotten)
    return replace(make_ctx(parts, **options), references=references)
