"""Logit-scaled confidences of two pools of models, the subject's and the retrained one's."""

from dataclasses import dataclass

import torch
from torch import Tensor

from erasure.core.context import EvalContext, ReferenceRole
from erasure.core.values import NotComputableError
from erasure.evaluation.signals import PHI_LIMIT, phi

CHUNK = 4_000_000
"""Logits converted to float64 at once, so that many models do not take many times the memory."""


@dataclass(frozen=True)
class Margins:
    """Two matrices that are to be told apart, models by samples.

    Args:
        ours: Of the subject, ``(N, n)`` float64, within +-100.
        theirs: Of retrained models, ``(N, n)`` float64, within +-100.
        clipped: Share of the values that were cut off.
    """

    ours: Tensor
    theirs: Tensor
    clipped: float

    @property
    def models(self) -> int:
        """Number of models per side."""
        return len(self.ours)

    @property
    def samples(self) -> int:
        """Number of samples."""
        return self.ours.shape[1]


@dataclass(frozen=True)
class Pools:
    """The margins of a subject's models and of retrained ones on a part.

    Args:
        ours: Of the subject, ``(N, n)`` float64; None for the retrained model itself.
        theirs: Of retrained models, ``(N, n)`` float64.
    """

    ours: Tensor | None
    theirs: Tensor

    def compared(self, *, at_least: int) -> Margins:
        """Return the subject's models against all retrained ones.

        For the retrained model itself one half of its pool is compared with the other, which is
        what a perfect unlearner would look like with half as many models.

        Raises:
            NotComputableError: If there are fewer than ``at_least`` models per side.
        """
        if self.ours is None:
            return self.null(at_least=at_least)
        return _checked(self.ours, self.theirs, at_least)

    def null(self, *, at_least: int) -> Margins:
        """Return the two halves of the pool of retrained models, see :meth:`compared`."""
        return _checked(*halves(self.theirs), at_least)

    def crossed(self, *, at_least: int) -> tuple[Margins, Margins]:
        """Return what compares the subject with retrained models on the footing of the null.

        Each half of the subject's pool meets the half of the retrained pool that has other
        seeds, so there are as many models per side, as unrelated as in :meth:`null`; statistics
        whose value depends on the number of models can be compared with it. For the retrained
        model it is the null, both ways round.

        Raises:
            NotComputableError: If there are fewer than ``at_least`` models per half.
        """
        first, second = halves(self.theirs)
        mine = (first, second) if self.ours is None else halves(self.ours)
        return _checked(mine[0], second, at_least), _checked(mine[1], first, at_least)


def pools(ctx: EvalContext, part: str) -> Pools:
    """Return the margins of the subject's models and of retrained ones on a part.

    Raises:
        NotComputableError: If there is no pool, the part is empty, or a logit is not finite.
    """
    theirs = margins_of(ctx, "gold", part)
    ours = None if ctx.subject == "gold" else margins_of(ctx, ctx.subject, part)
    return Pools(ours, theirs)


def halves(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return every second row and the others, equally many; an odd last one is left out."""
    size = len(values) // 2
    return values[0 : 2 * size : 2], values[1 : 2 * size : 2]


def pooled(ctx: EvalContext, role: ReferenceRole, part: str) -> Tensor:
    """Return the logits ``(N, n, C)`` of the models of a role on a part.

    Raises:
        NotComputableError: If the trial has no pool of them.
    """
    if ctx.references is None or ctx.references.size(role) == 0:
        raise NotComputableError("skipped", "missing_pool")
    return ctx.stack(role, part)


def margins_of(ctx: EvalContext, role: ReferenceRole, part: str) -> Tensor:
    """Return the logit-scaled confidences ``(N, n)`` of a role on a part, not cut off."""
    logits, targets = pooled(ctx, role, part), ctx.sampled(part).targets.cpu()
    rows = max(1, CHUNK // (logits.shape[1] * logits.shape[2]))
    return torch.cat([phi(ctx.task_type, some, targets) for some in logits.split(rows)])


def _checked(ours: Tensor, theirs: Tensor, at_least: int) -> Margins:
    size = min(len(ours), len(theirs))
    if size < at_least:
        raise NotComputableError("degenerate", "too_few")
    both = torch.stack([ours[:size], theirs[:size]])
    clipped = (both.abs() > PHI_LIMIT).double().mean().item()
    kept = both.clamp(-PHI_LIMIT, PHI_LIMIT)
    return Margins(kept[0], kept[1], clipped)
