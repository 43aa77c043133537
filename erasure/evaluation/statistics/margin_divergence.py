"""Divergence between margins of two pools of models, per sample."""

import torch
from torch import Tensor

BINS = 20
"""Bins over the common range of both pools."""

EMPTY = 1e-5
"""Probability of a bin that the reference never reached and the other pool did."""

SPREAD_FLOOR = 1e-3
"""Smallest standard deviation, as a share of that of all samples together."""


def histogram_kl(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of histograms, ``KL(ours || theirs)``.

    Both histograms have 20 equal bins over the common range, the last one closed; the reference
    is normalized again after its empty bins are filled.

    Args:
        ours: Margins, models by samples, ``(N, n)`` float64, finite.
        theirs: Margins of the reference, ``(M, n)``.

    Returns:
        ``(n,)`` in nats, at least 0; 0 for samples whose margins are all the same.

    References:
        K. Georgiev et al., "Attribute-to-Delete: Machine Unlearning via Datamodel Matching",
        ICLR 2025, arXiv:2410.23232.
    """
    low = torch.minimum(ours.amin(dim=0), theirs.amin(dim=0))
    width = torch.maximum(ours.amax(dim=0), theirs.amax(dim=0)) - low
    width = torch.where(width > 0, width, 1.0)
    p, q = (_histogram((side - low) / width) for side in (ours, theirs))
    q = torch.where(p > 0, q.clamp(min=EMPTY), q)
    q = q / q.sum(dim=1, keepdim=True)
    # Where p is 0 the term is 0, whatever q is.
    terms = torch.where(p > 0, p * (p / torch.where(p > 0, q, 1.0)).log(), 0.0)
    return terms.sum(dim=1).clamp(min=0)  # shares add up to one only after rounding


def gaussian_kl(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return the divergence of the normal distributions fitted to margins, ``(n,)`` in nats.

    It needs fewer models than :func:`histogram_kl` and sees means and spreads only.

    Args:
        ours: Margins, models by samples, ``(N, n)`` float64, N >= 2.
        theirs: Margins of the reference, ``(M, n)``, M >= 2.
    """
    means = ours.mean(dim=0), theirs.mean(dim=0)
    variances = ours.var(dim=0), theirs.var(dim=0)
    floor = SPREAD_FLOOR**2 * torch.stack(variances).mean().item()
    first, second = (variance.clamp(min=max(floor, 1e-30)) for variance in variances)
    return normal_kl(means[0], first, means[1], second)


def normal_kl(mean_p: Tensor, variance_p: Tensor, mean_q: Tensor, variance_q: Tensor) -> Tensor:
    """Return ``KL(N(mean_p, variance_p) || N(mean_q, variance_q))``, elementwise, in nats."""
    moved = (variance_p + (mean_p - mean_q).square()) / variance_q
    return 0.5 * (variance_q.log() - variance_p.log() + moved - 1)


def _histogram(places: Tensor) -> Tensor:
    """Return the share ``(n, BINS)`` of the values ``(N, n)`` in [0, 1] that is in each bin."""
    count, samples = places.shape
    bins = (places * BINS).long().clamp(max=BINS - 1)
    bins += torch.arange(samples) * BINS
    found = bins.flatten().bincount(minlength=samples * BINS).view(samples, BINS)
    return found.double() / count
