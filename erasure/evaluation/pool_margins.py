"""Logit-scaled confidences of two pools of models, the subject's and the retrained one's."""

from dataclasses import dataclass

import torch
from torch import Tensor

from erasure.core.context import EvalContext, Pooled
from erasure.core.metric import NotComputableError
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


def compared(ctx: EvalContext, part: str, *, at_least: int) -> Margins:
    """Return the margins of the subject and of retrained models on a part.

    For the retrained model itself one half of its pool is compared with the other, which is what
    a perfect unlearner would look like with half as many models.

    Args:
        ctx: The evaluation.
        part: Name of a part.
        at_least: Fewest models per side.

    Raises:
        NotComputableError: If there is no pool, or it is too small.
    """
    theirs = margins_of(ctx, "gold", part)
    if ctx.subject == "gold":
        return _checked(*halves(theirs), at_least)
    return _checked(margins_of(ctx, ctx.subject, part), theirs, at_least)


def null(ctx: EvalContext, part: str, *, at_least: int) -> Margins:
    """Return the two halves of the pool of retrained models, see :func:`compared`."""
    return _checked(*halves(margins_of(ctx, "gold", part)), at_least)


def crossed(ctx: EvalContext, part: str, *, at_least: int) -> tuple[Margins, Margins]:
    """Return what compares the subject with retrained models on the footing of the null.

    Each half of the subject's pool meets the half of the retrained pool that has other seeds, so
    there are as many models per side, as unrelated as in :func:`null`; statistics whose value
    depends on the number of models can be compared with it. For the retrained model it is the
    null, both ways round.

    Raises:
        NotComputableError: If there is no pool, or fewer than ``at_least`` models per half.
    """
    first, second = halves(margins_of(ctx, "gold", part))
    mine = (first, second)
    if ctx.subject != "gold":
        mine = halves(margins_of(ctx, ctx.subject, part))
    return _checked(mine[0], second, at_least), _checked(mine[1], first, at_least)


def halves(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return every second row and the others, equally many; an odd last one is left out."""
    size = len(values) // 2
    return values[0 : 2 * size : 2], values[1 : 2 * size : 2]


def pooled(ctx: EvalContext, role: Pooled, part: str) -> Tensor:
    """Return the logits ``(N, n, C)`` of the models of a role on a part.

    Raises:
        NotComputableError: If the trial has no pool of them.
    """
    if ctx.references is None or ctx.references.size(role) == 0:
        raise NotComputableError("skipped", "missing_pool")
    return ctx.stack(role, part)


def margins_of(ctx: EvalContext, role: Pooled, part: str) -> Tensor:
    """Return the logit-scaled confidences ``(N, n)`` of a role on a part, not cut off."""
    logits, targets = pooled(ctx, role, part), ctx.sampled(part).targets.cpu()
    rows = max(1, CHUNK // (logits.shape[1] * logits.shape[2]))
    return torch.cat([phi(ctx.kind, some, targets) for some in logits.split(rows)])


def _checked(ours: Tensor, theirs: Tensor, at_least: int) -> Margins:
    size = min(len(ours), len(theirs))
    if size < at_least:
        raise NotComputableError("degenerate", "too_few")
    both = torch.stack([ours[:size], theirs[:size]])
    clipped = (both.abs() > PHI_LIMIT).double().mean().item()
    kept = both.clamp(-PHI_LIMIT, PHI_LIMIT)
    return Margins(kept[0], kept[1], clipped)
