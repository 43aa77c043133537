"""Distances between predictions, from log-probabilities and without a constant against zero."""

import math

import torch
from torch import Tensor

LN2 = math.log(2)


def jensen_shannon(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return the divergence in nats of two sets of log-probabilities ``(..., C)``, ``(...)``.

    A class of probability zero, ``-inf``, contributes nothing on its side.

    References:
        J. Lin, "Divergence measures based on the Shannon entropy", IEEE Transactions on
        Information Theory 37, 1991.
    """
    divergence = (_to_middle(log_p, log_q) + _to_middle(log_q, log_p)) / 2
    return divergence.clamp(0.0, LN2)  # rounding can leave the range by 1e-17


def kullback_leibler(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return ``KL(p || q)`` in nats of log-probabilities ``(..., C)``, ``(...)``.

    Infinite where q excludes a class that p has.
    """
    terms = log_p.exp() * (log_p - log_q)
    return terms.where(log_p > -torch.inf, 0.0).sum(dim=-1).clamp_min(0.0)


def total_variation(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return half the absolute difference, summed over classes, in [0, 1]."""
    return (log_p.exp() - log_q.exp()).abs().sum(dim=-1) / 2


def hellinger(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return the Hellinger distance, in [0, 1]."""
    # sqrt(p) without p itself, which may round to 0.
    roots = (log_p / 2).exp() - (log_q / 2).exp()
    return (roots.square().sum(dim=-1) / 2).sqrt().clamp_max(1.0)


def _to_middle(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return ``KL(p || m)`` with ``m = (p + q) / 2``, exactly 0 for equal inputs."""
    # log p - log m = log 2 - log(1 + q / p), in which nothing large cancels.
    terms = log_p.exp() * (LN2 - torch.logaddexp(torch.zeros_like(log_p), log_q - log_p))
    return terms.where(log_p > -torch.inf, 0.0).sum(dim=-1)
