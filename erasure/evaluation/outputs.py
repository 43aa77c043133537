"""Predictions of any kind of task, as distributions that divergences compare."""

from collections.abc import Callable

from torch import Tensor

from erasure.core.context import EvalContext, Who
from erasure.core.task_types import TaskType
from erasure.core.values import NotComputableError

Divergence = Callable[[Tensor, Tensor], Tensor]
"""Two sets of log-probabilities ``(..., K)`` to one value each ``(...)``."""


def compared(divergence: Divergence, kind: TaskType, logits: Tensor, others: Tensor) -> Tensor:
    """Return a divergence of the predictions of two models, ``(n,)`` float64.

    Where every label of a sample is on or off by itself it is the mean over labels, so that it
    has the range that it has for one class per sample.

    Args:
        divergence: What to compute.
        kind: What the labels mean.
        logits: ``(n, C)``.
        others: ``(n, C)``.
    """
    own, other = kind.log_probs(logits.double()), kind.log_probs(others.double())
    return divergence(own, other).mean(dim=-1)


def divergences(ctx: EvalContext, divergence: Divergence, part: str, who: Who) -> Tensor:
    """Return a divergence of the subject's predictions from those of a role, ``(n,)``."""
    return compared(divergence, ctx.task_type, ctx.logits(part), ctx.logits(part, who))


def require_multilabel(ctx: EvalContext) -> None:
    """Check that every label of a sample is on or off by itself.

    Raises:
        NotComputableError: If it is not.
    """
    if ctx.task_type.name != "multilabel":
        raise NotComputableError("skipped", "needs_multilabel")
