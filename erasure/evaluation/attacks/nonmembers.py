"""The samples with which an attack compares the forgotten ones."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from erasure.core.context import EvalContext, Who
from erasure.core.values import NotComputableError
from erasure.evaluation.signals import losses

ENOUGH = 10
"""Held-out samples of the forgotten population from which on they alone are the non-members."""


RULES = {
    "population": "those of the forgotten population",
    "classes": "those of the classes in forget",
    "all": "all of them",
}
"""Which held-out samples they are, for a reader."""


@dataclass(frozen=True)
class NonMembers:
    """A choice of held-out samples.

    Args:
        chosen: Which samples of the held-out part it takes, ``(n,)`` bool, aligned with
            ``ctx.logits(ctx.heldout)``.
        rule: Why these: of the forgotten population, of the classes in the forget set, or all.
    """

    chosen: Tensor
    rule: Literal["population", "classes", "all"]

    def __len__(self) -> int:
        return int(self.chosen.sum().item())


def non_members(ctx: EvalContext, *, min_n: int = 1) -> NonMembers:
    """Return the held-out samples that every attack on the forget set takes as non-members.

    They must differ from the forget set in nothing but that the model never saw them. Where a
    population is forgotten, such as a person or a class, they are its held-out samples
    (``<heldout>_forget``) if there are at least ten. Otherwise they are those of the classes in
    the forget set: a forgotten class would else be told from the others by its label. Where a
    sample can have several labels they are all.

    Args:
        ctx: The evaluation.
        min_n: Fewest samples on each side.

    Raises:
        NotComputableError: If a part is empty, or the forget set or the non-members are fewer
            than ``min_n``.
    """
    forget_labels, heldout_labels = ctx.targets("forget"), ctx.targets(ctx.heldout)
    if min(len(forget_labels), len(heldout_labels)) == 0:
        counts = f"forget has {len(forget_labels)} samples, {ctx.heldout} {len(heldout_labels)}"
        raise NotComputableError("degenerate", "empty_split", counts)
    choice = _choice(ctx, forget_labels, heldout_labels)
    if min(len(forget_labels), len(choice)) < min_n:
        counts = (
            f"forget has {len(forget_labels)} samples, and {ctx.heldout} {len(choice)} to compare "
            f"them with ({RULES[choice.rule]}); {min_n} of each are needed"
        )
        raise NotComputableError("degenerate", "too_few", counts)
    return choice


def _choice(ctx: EvalContext, forget_labels: Tensor, heldout_labels: Tensor) -> NonMembers:
    if ctx.population_parts:
        same_population = ctx.splits.of_same_population(ctx.heldout).cpu()
        if int(same_population.sum().item()) >= ENOUGH:
            return NonMembers(same_population, "population")
    # Hardly two samples have the same set of labels: there are no classes to choose by.
    if ctx.task_type.name == "multilabel":
        return NonMembers(torch.ones(len(heldout_labels), dtype=torch.bool), "all")
    return NonMembers(torch.isin(heldout_labels, forget_labels), "classes")


def attack_losses(ctx: EvalContext, who: Who, *, min_n: int) -> tuple[Tensor, Tensor]:
    """Return the losses of members ``(n,)`` and of non-members ``(m,)`` under a role.

    Raises:
        NotComputableError: If a side has fewer than ``min_n`` samples.
    """
    chosen = non_members(ctx, min_n=min_n).chosen
    return losses(ctx, "forget", who), losses(ctx, ctx.heldout, who)[chosen]
