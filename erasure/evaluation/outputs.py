"""Comparing what two models predict, whatever the kind of task, and two retrained ones alike."""

from collections.abc import Callable

import torch
from torch import Tensor

from erasure.core.context import EvalContext, Who
from erasure.core.task_types import TaskType
from erasure.core.values import NotComputableError

Divergence = Callable[[Tensor, Tensor], Tensor]
"""Two sets of log-probabilities ``(..., K)`` to one value each ``(...)``."""

Compare = Callable[[TaskType, Tensor, Tensor], Tensor]
"""A kind of task and two sets of logits ``(n, C)`` to one value per sample ``(n,)``."""

MOST_PAIRS = 16
"""Retrained models that are compared with the first one."""


def compared(
    divergence: Divergence, kind: TaskType, logits: Tensor, other_logits: Tensor
) -> Tensor:
    """Return a divergence of the predictions of two models, ``(n,)`` float64.

    Where every label of a sample is on or off by itself it is the mean over labels, so that it
    has the range that it has for one class per sample.

    Args:
        divergence: What to compute.
        kind: What the labels mean.
        logits: ``(n, C)``.
        other_logits: Of the other model, ``(n, C)``.
    """
    # Each (n, L, K): one choice of K classes, or C choices between off and on.
    log_p, log_q = kind.log_probs(logits.double()), kind.log_probs(other_logits.double())
    return divergence(log_p, log_q).mean(dim=-1)


def divergences(ctx: EvalContext, divergence: Divergence, part: str, who: Who) -> Tensor:
    """Return a divergence of the subject's predictions from those of a role, ``(n,)``."""
    return compared(divergence, ctx.task_type, ctx.logits(part), ctx.logits(part, who))


def gold_null(ctx: EvalContext, part: str, compare: Compare) -> dict[str, float]:
    """Return what to note beside a comparison of the unlearned with the retrained model.

    Two retrained models differ as well, by their seeds. What the comparison gives for them is as
    good as any method can be.

    Args:
        ctx: The evaluation.
        part: The samples; of a large retain set a subset, see ``ctx.sampled``.
        compare: The comparison.

    Returns:
        ``gold_null``, the mean over pairs of the first retrained model and others,
        ``gold_null_low`` and ``gold_null_high``, the extremes, and ``gold_null_pairs``; nothing
        for other subjects, or where there are fewer than two retrained models.
    """
    if ctx.subject != "unlearned" or ctx.references is None or ctx.references.size("gold") < 2:
        return {}
    # All pairs would be quadratic; those with the first one are enough for a mean.
    first, *others = ctx.stack("gold", part)[: MOST_PAIRS + 1].double()
    means = torch.stack([compare(ctx.task_type, other, first).double().mean() for other in others])
    return {
        "gold_null": means.mean().item(),
        "gold_null_low": means.min().item(),
        "gold_null_high": means.max().item(),
        "gold_null_pairs": len(others),
    }


def require_multilabel(ctx: EvalContext) -> None:
    """Check that every label of a sample is on or off by itself.

    Raises:
        NotComputableError: If it is not.
    """
    if ctx.task_type.name != "multilabel":
        raise NotComputableError("skipped", "needs_multilabel")
