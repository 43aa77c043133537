"""Per-sample quantities that metrics share, in float64.

In float32 the loss of a confidently fitted sample rounds to zero, and thousands of ties hide
from an attack exactly the order it looks for.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from erasure.core.context import EvalContext, Who


def losses(ctx: EvalContext, part: str, who: Who | None = None) -> Tensor:
    """Return the loss ``(n,)`` of each sample of a part under a role."""
    return ctx.kind.loss(ctx.logits(part, who).double(), ctx.targets(part))


def log_probs(ctx: EvalContext, part: str, who: Who | None = None) -> Tensor:
    """Return the log-probabilities ``(n, C)`` of a role on a part."""
    return F.log_softmax(ctx.logits(part, who).double(), dim=-1)


def predictions(ctx: EvalContext, part: str, who: Who | None = None) -> Tensor:
    """Return the predicted class ``(n,)`` of each sample of a part under a role."""
    return ctx.logits(part, who).argmax(dim=-1)


def margins(logits: Tensor, targets: Tensor) -> Tensor:
    """Return how far the logit of the target is above the largest other one.

    Args:
        logits: ``(n, C)``.
        targets: ``(n,)`` int64.

    Returns:
        ``z_y - max_{j != y} z_j`` per sample, ``(n,)``; positive where the model is right.
    """
    own = targets.unsqueeze(-1)
    others = logits.scatter(-1, own, -torch.inf)
    return logits.gather(-1, own).squeeze(-1) - others.amax(dim=-1)
