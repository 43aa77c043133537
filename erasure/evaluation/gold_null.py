"""What a comparison with the retrained model gives for another retrained model."""

from collections.abc import Callable

import torch
from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.task_types import TaskType

Compare = Callable[[TaskType, Tensor, Tensor], Tensor]
"""A kind of task and two sets of logits ``(n, C)`` to one value per sample ``(n,)``."""

MOST = 16
"""Retrained models of a pool that are compared with its first one."""


def gold_null(ctx: EvalContext, part: str, compare: Compare) -> dict[str, float]:
    """Return what to note beside a comparison of the unlearned with the retrained model.

    Two retrained models differ as well, by their seeds. What the comparison gives for them is as
    good as any method can be.

    Args:
        ctx: The evaluation.
        part: The samples; of a large retain set a subset, see ``ctx.sampled``.
        compare: The comparison.

    Returns:
        ``gold_null``, the mean over the pairs of the pool's first retrained model and others,
        ``gold_null_low`` and ``gold_null_high``, the extremes, and ``gold_null_pairs``; nothing
        for other subjects, or where there are fewer than two retrained models.
    """
    if ctx.subject != "unlearned" or ctx.references is None or ctx.references.size("gold") < 2:
        return {}
    first, *others = ctx.stack("gold", part)[: MOST + 1].double()
    means = torch.stack([compare(ctx.task_type, other, first).double().mean() for other in others])
    return {
        "gold_null": means.mean().item(),
        "gold_null_low": means.min().item(),
        "gold_null_high": means.max().item(),
        "gold_null_pairs": len(others),
    }
