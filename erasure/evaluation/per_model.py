"""Accuracies and the loss attack of every reference model, one value per model."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.references import ReferenceRole
from erasure.evaluation.attacks.nonmembers import non_members
from erasure.evaluation.reference_margins import CHUNK, reference_logits

FEWEST = 10
"""Samples per side that the loss attack needs."""

PerModel = Callable[[EvalContext, ReferenceRole], Tensor]


def per_model(heldout: str) -> Mapping[str, PerModel]:
    """Return what is measured of each reference model of a role, by name: ``(N,)`` float64."""
    accuracies = {
        f"{part}/accuracy": partial(_accuracies, part=part)
        for part in ("forget", "retain", heldout)
    }
    return {**accuracies, "mia/loss/auc": _loss_aucs}


def paired_aucs(positives: Tensor, negatives: Tensor) -> Tensor:
    """Return the AUC of each row of scores, ``(N, n)`` against ``(N, m)`` to ``(N,)``."""
    # searchsorted works row by row: each model has its own negatives.
    ranked = negatives.sort(dim=1).values
    positives = positives.contiguous()
    below = torch.searchsorted(ranked, positives)
    not_above = torch.searchsorted(ranked, positives, right=True)
    return (below + not_above).double().mean(dim=1) / (2 * ranked.shape[1])


def _accuracies(ctx: EvalContext, role: ReferenceRole, *, part: str) -> Tensor:
    right = (
        ctx.task_type.predicted(reference_logits(ctx, role, part))
        == ctx.sampled(part).targets.cpu()
    )
    # Over samples, or over samples and labels.
    return right.double().flatten(1).mean(dim=1)


def _loss_aucs(ctx: EvalContext, role: ReferenceRole) -> Tensor:
    chosen = non_members(ctx, min_n=FEWEST).chosen
    members, heldout = (_losses(ctx, role, part) for part in ("forget", ctx.heldout))
    return paired_aucs(-members, -heldout[:, chosen])


def _losses(ctx: EvalContext, role: ReferenceRole, part: str) -> Tensor:
    logits, targets = reference_logits(ctx, role, part), ctx.sampled(part).targets.cpu()
    rows = max(1, CHUNK // (logits.shape[1] * logits.shape[2]))
    chunks = []
    for chunk in logits.split(rows):
        # A loss takes one row per sample: the models are put below one another.
        repeated = targets.repeat(len(chunk), *[1] * (targets.ndim - 1))
        losses = ctx.task_type.loss(chunk.double().flatten(0, 1), repeated)
        chunks.append(losses.view(len(chunk), -1))
    return torch.cat(chunks)
