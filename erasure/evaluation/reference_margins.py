"""Logit-scaled confidences of many models, the subject's and retrained ones, on one part."""

from dataclasses import dataclass

import torch
from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.references import ReferenceRole
from erasure.core.values import NotComputableError
from erasure.evaluation.signals import PHI_LIMIT, phi

CHUNK = 4_000_000
"""Logits converted to float64 at once, so that many models do not take many times the memory."""


@dataclass(frozen=True)
class MarginPair:
    """Margins of two groups of equally many models that are to be told apart, models by samples.

    Args:
        subject: Of the subject, ``(N, n)`` float64, within +-100.
        gold: Of retrained models, ``(N, n)`` float64, within +-100.
        clipped: Share of the values that were cut off.
    """

    subject: Tensor
    gold: Tensor
    clipped: float

    @property
    def models(self) -> int:
        """Number of models per side."""
        return len(self.subject)

    @property
    def samples(self) -> int:
        """Number of samples."""
        return self.subject.shape[1]


@dataclass(frozen=True)
class ReferenceMargins:
    """The margins of all models of a subject's role and of all retrained ones on a part.

    Args:
        subject: Of the subject, ``(N, n)`` float64; None for the retrained model itself.
        gold: Of retrained models, ``(N, n)`` float64.
    """

    subject: Tensor | None
    gold: Tensor

    def compared(self, *, at_least: int) -> MarginPair:
        """Return the subject's models against all retrained ones.

        For the retrained model itself one half of the retrained ones is compared with the other,
        which is what a perfect unlearner would look like with half as many models.

        Raises:
            NotComputableError: If there are fewer than ``at_least`` models per side.
        """
        if self.subject is None:
            return self.null(at_least=at_least)
        return _checked(self.subject, self.gold, at_least)

    def null(self, *, at_least: int) -> MarginPair:
        """Return one half of the retrained models against the other, see :meth:`compared`."""
        return _checked(*halves(self.gold), at_least)

    def crossed(self, *, at_least: int) -> tuple[MarginPair, MarginPair]:
        """Return what compares the subject with retrained models on the footing of the null.

        Each half of the subject's models meets the half of the retrained ones that has other
        seeds, so there are as many models per side, as unrelated as in :meth:`null`; statistics
        whose value depends on the number of models can be compared with it. For the retrained
        model it is the null, both ways round.

        Raises:
            NotComputableError: If there are fewer than ``at_least`` models per half.
        """
        first, second = halves(self.gold)
        # Row k of both roles has one seed, and halves are alternate rows: crossed they share none.
        subject = (first, second) if self.subject is None else halves(self.subject)
        return _checked(subject[0], second, at_least), _checked(subject[1], first, at_least)


def reference_margins(ctx: EvalContext, part: str) -> ReferenceMargins:
    """Return the margins of the subject's models and of retrained ones on a part.

    Raises:
        NotComputableError: If there are no reference models, the part is empty, or a logit is
            not finite.
    """
    gold = margins_of(ctx, "gold", part)
    subject = None if ctx.subject == "gold" else margins_of(ctx, ctx.subject, part)
    return ReferenceMargins(subject, gold)


def halves(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return every second row and the others, equally many; an odd last one is left out."""
    size = len(values) // 2
    return values[0 : 2 * size : 2], values[1 : 2 * size : 2]


def reference_logits(ctx: EvalContext, role: ReferenceRole, part: str) -> Tensor:
    """Return the logits ``(N, n, C)`` of the reference models of a role on a part.

    Unlike ``ctx.stack`` it does not make do with the one model of the trial.

    Raises:
        NotComputableError: If the trial has no reference models of this role.
    """
    if ctx.references is None or ctx.references.size(role) == 0:
        raise NotComputableError("skipped", "missing_references")
    return ctx.stack(role, part)


def margins_of(ctx: EvalContext, role: ReferenceRole, part: str) -> Tensor:
    """Return the logit-scaled confidences ``(N, n)`` of a role on a part, not cut off."""
    logits, targets = reference_logits(ctx, role, part), ctx.sampled(part).targets.cpu()
    # Models at a time: phi computes in float64, twice the memory of the logits.
    rows = max(1, CHUNK // (logits.shape[1] * logits.shape[2]))
    return torch.cat([phi(ctx.task_type, some, targets) for some in logits.split(rows)])


def _checked(subject: Tensor, gold: Tensor, at_least: int) -> MarginPair:
    size = min(len(subject), len(gold))
    if size < at_least:
        raise NotComputableError("degenerate", "too_few")
    both = torch.stack([subject[:size], gold[:size]])
    clipped = (both.abs() > PHI_LIMIT).double().mean().item()
    within = both.clamp(-PHI_LIMIT, PHI_LIMIT)
    return MarginPair(within[0], within[1], clipped)
