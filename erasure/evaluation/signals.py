"""Per-sample quantities that metrics share, in float64.

In float32 the loss of a confidently fitted sample rounds to zero, and thousands of ties hide
from an attack exactly the order it looks for.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from erasure.core.context import EvalContext, Who
from erasure.core.task_types import TaskType
from erasure.core.values import NotComputableError

MemberSignal = Literal["correctness", "confidence", "entropy", "modified_entropy"]
"""What an attacker may look at, one number per sample."""

PHI_LIMIT = 100.0
"""Where the logit-scaled confidence is cut off before moments are taken of it."""


def losses(ctx: EvalContext, part: str, who: Who | None = None) -> Tensor:
    """Return the loss ``(n,)`` of each sample of a part under a role."""
    return ctx.task_type.loss(ctx.logits(part, who).double(), ctx.targets(part))


def log_probs(ctx: EvalContext, part: str, who: Who | None = None) -> Tensor:
    """Return the log-probabilities ``(n, C)`` of a role on a part."""
    return F.log_softmax(ctx.logits(part, who).double(), dim=-1)


def entropies(ctx: EvalContext, part: str, who: Who | None = None) -> Tensor:
    """Return the entropy ``(n,)`` in nats of each prediction of a role on a part."""
    return ctx.task_type.entropy(ctx.logits(part, who).double())


def predictions(ctx: EvalContext, part: str, who: Who | None = None) -> Tensor:
    """Return what a role predicts for each sample of a part, shaped as the targets are."""
    return ctx.task_type.predicted(ctx.logits(part, who))


def margins(logits: Tensor, targets: Tensor) -> Tensor:
    """Return how far the logit of the target is above the largest other one.

    Args:
        logits: ``(n, C)``.
        targets: ``(n,)`` int64.

    Returns:
        ``z_y - max_{j != y} z_j`` per sample, ``(n,)``; positive where the model is right.
    """
    labels = targets.unsqueeze(-1)
    others = logits.scatter(-1, labels, -torch.inf)
    return logits.gather(-1, labels).squeeze(-1) - others.amax(dim=-1)


def phi(kind: TaskType, logits: Tensor, targets: Tensor) -> Tensor:
    """Return the logit-scaled confidence of each sample, ``log p_y - log(1 - p_y)``.

    It is close to normal where the confidence itself is squeezed against 1, and it is computed
    without probabilities, which round to 1. For labels that are each on or off it is the mean
    over labels. ``loss = log(1 + exp(-phi))`` for several classes.

    Args:
        kind: What the labels mean.
        logits: ``(..., n, C)``.
        targets: ``(n,)`` int64, or ``(n, C)`` of 0 and 1.

    Returns:
        ``(..., n)`` float64, not cut off.

    References:
        N. Carlini et al., "Membership Inference Attacks From First Principles", S&P 2022,
        arXiv:2112.03570.
    """
    values = logits.double()
    if kind.name == "multilabel":
        # A logit is the log-odds of its label being on; the sign turns it to the true state.
        return ((2 * targets.double() - 1) * values).mean(dim=-1)
    labels = targets.expand(values.shape[:-1]).unsqueeze(-1)
    # log p_y - log(1 - p_y) = z_y - logsumexp of the other logits: the normalizer cancels.
    others = values.scatter(-1, labels, -torch.inf)
    return values.gather(-1, labels).squeeze(-1) - others.logsumexp(dim=-1)


def modified_entropies(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the entropy of each prediction, corrected to be low for a confident right answer.

    ``-(1 - p_y) log p_y - sum_{j != y} p_j log(1 - p_j)``, each row by its own label alone.

    Args:
        logits: ``(n, C)``.
        targets: ``(n,)`` int64.

    Returns:
        ``(n,)`` float64, in nats; 0 for a certain right answer.

    References:
        L. Song and P. Mittal, "Systematic Evaluation of Privacy Risks of Machine Learning
        Models", USENIX Security 2021, arXiv:2003.10595.
    """
    log_p = F.log_softmax(logits.double(), dim=-1)
    p, log_rest = log_p.exp(), _log_complement(log_p)
    labels = targets.unsqueeze(-1)
    # The term of the label itself is replaced; for a certain answer it is -inf.
    others = (p * log_rest).scatter(-1, labels, 0.0).sum(dim=-1)
    log_hit, log_miss = log_p.gather(-1, labels), log_rest.gather(-1, labels)
    return -(log_miss.exp() * log_hit).squeeze(-1) - others


def member_score(ctx: EvalContext, part: str, signal: MemberSignal) -> Tensor:
    """Return a signal ``(n,)`` float64 of the subject on a part, higher for a likely member.

    Raises:
        NotComputableError: If samples can have several labels, or the logits are not there.
    """
    require_multiclass(ctx)
    logits, targets = ctx.logits(part).double(), ctx.targets(part)
    if signal == "correctness":
        return ctx.task_type.correct(logits, targets).double()
    if signal == "confidence":
        return (-ctx.task_type.loss(logits, targets)).exp()
    if signal == "entropy":
        return -entropies(ctx, part)
    return -modified_entropies(logits, targets)


def require_multiclass(ctx: EvalContext) -> None:
    """Check that every sample has exactly one class.

    Raises:
        NotComputableError: If it has not.
    """
    if ctx.task_type.name == "multilabel":
        raise NotComputableError("skipped", "needs_multiclass")


def _log_complement(log_p: Tensor) -> Tensor:
    """Return ``log(1 - p_j)`` of log-probabilities ``(n, C)``, also where ``p_j`` rounds to 1."""
    # At most one class of a row is that likely; its complement is the sum of all the others.
    top = log_p.argmax(dim=-1, keepdim=True)
    rest = log_p.scatter(-1, top, -torch.inf).logsumexp(dim=-1, keepdim=True)
    return torch.log1p(-log_p.exp()).scatter(-1, top, rest)
