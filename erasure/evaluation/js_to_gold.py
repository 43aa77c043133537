"""Divergence of the outputs from those of the retrained model."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.metric import Measured, MetricSchema, measure
from erasure.evaluation.estimates import mean
from erasure.evaluation.signals import log_probs

LN2 = math.log(2)


@dataclass(frozen=True, kw_only=True)
class JSToGold:
    """Mean Jensen-Shannon divergence between the predictions of a model and of the retrained one.

    On the forget set and on the held-out part, in nats.

    References:
        J. Lin, "Divergence measures based on the Shannon entropy", IEEE Transactions on
        Information Theory 37, 1991.
    """

    def schema(self, heldout: str) -> Mapping[str, MetricSchema]:
        return {
            f"{part}/js_to_gold": MetricSchema(
                direction="min",
                low=0.0,
                high=LN2,
                ideal=0.0,
                description=f"Jensen-Shannon divergence from the retrained model's predictions "
                f"on the {part} set.",
                unit="nats",
            )
            for part in ("forget", heldout)
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, Measured]:
        parts = ("forget", ctx.heldout)
        return {f"{part}/js_to_gold": measure(partial(_to_gold, ctx, part)) for part in parts}


def jensen_shannon(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return the divergence (n,) in nats of two sets of log-probabilities ``(n, C)``.

    A class of probability zero, ``-inf``, contributes nothing on its side.
    """
    found = (_to_middle(log_p, log_q) + _to_middle(log_q, log_p)) / 2
    return found.clamp(0.0, LN2)  # rounding can leave the range by 1e-17


def _to_gold(ctx: EvalContext, part: str) -> Measured:
    values = jensen_shannon(log_probs(ctx, part), log_probs(ctx, part, "gold"))
    return mean(values, low=0.0, high=LN2)


def _to_middle(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return ``KL(p || m)`` with ``m = (p + q) / 2``, exactly 0 for equal inputs."""
    # log p - log m = log 2 - log(1 + q / p), in which nothing large cancels.
    terms = log_p.exp() * (LN2 - torch.logaddexp(torch.zeros_like(log_p), log_q - log_p))
    return terms.where(log_p > -torch.inf, 0.0).sum(dim=-1)
