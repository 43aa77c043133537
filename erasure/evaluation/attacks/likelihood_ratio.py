"""Gaussian likelihood ratios per sample, every model judged by the others alone."""

from typing import NamedTuple

import torch
from torch import Tensor

FEWEST = 4
"""Models that a sample needs on either side."""

OWN_SPREAD = 64
"""Models per side from which on every sample has a variance of its own."""

FLOOR = 1e-3
"""Smallest standard deviation of a sample, as a share of that of all samples together."""


class Scores(NamedTuple):
    """What the attack thinks of each model and sample, higher for "ours".

    Args:
        ours: ``(N, n)``; NaN where there was no value.
        theirs: ``(M, n)``; likewise.
        floored: Share of the standard deviations that were raised to the floor.
    """

    ours: Tensor
    theirs: Tensor
    floored: float


class _Fit(NamedTuple):
    mean: Tensor
    variance: Tensor


def likelihood_ratios(ours: Tensor, theirs: Tensor) -> Scores:
    """Return ``log N(x; ours) - log N(x; theirs)`` of every value, fitted without it.

    The value to be scored and a partner on the other side, the one in the same row if there is
    one, are left out of the fits, in closed form. Leaving out a value on its own side alone would
    make the fit of that side the worse one, and tell apart what is alike. With fewer than 64
    models per side all samples share a variance: one that is estimated from few models costs
    more than it tells.

    Args:
        ours: Values under one hypothesis, models by samples, ``(N, n)`` float64; NaN where a
            model says nothing about a sample, at least 4 others per sample.
        theirs: Values under the other hypothesis, ``(M, n)``, likewise.

    References:
        J. Hayes et al., "Inexact Unlearning Needs More Careful Evaluations to Avoid a False
        Sense of Privacy", SaTML 2025, arXiv:2403.01218; N. Carlini et al., "Membership Inference
        Attacks From First Principles", S&P 2022, arXiv:2112.03570.
    """
    left, right = _packed(ours), _packed(theirs)
    counts = torch.stack([(~side.isnan()).sum(dim=0) for side in (left, right)])
    own = bool(counts.min() >= OWN_SPREAD)
    for_left, floored = _fits(left, _partners(right, counts[1], len(left)), left, right, own=own)
    if bool((counts == len(left)).all()):  # each row is the partner of the same row
        for_right = for_left
    else:
        partners = _partners(left, counts[0], len(right))
        for_right, again = _fits(partners, right, left, right, own=own)
        floored = max(floored, again)
    return Scores(
        _unpacked(_ratio(left, *for_left), ours),
        _unpacked(_ratio(right, *for_right), theirs),
        floored,
    )


def _ratio(x: Tensor, ours: _Fit, theirs: _Fit) -> Tensor:
    near, far = ((x - fit.mean).square() / fit.variance for fit in (ours, theirs))
    # In this order equal fits give exactly 0, whose ties are half a win.
    return 0.5 * ((far - near) + (theirs.variance.log() - ours.variance.log()))


def _fits(
    our_drop: Tensor, their_drop: Tensor, ours: Tensor, theirs: Tensor, *, own: bool
) -> tuple[tuple[_Fit, _Fit], float]:
    """Fit both sides without what is dropped of them, and keep the spreads away from zero."""
    fits = (_without(our_drop, ours), _without(their_drop, theirs))
    together = [fit.variance.nanmean(dim=-1, keepdim=True) for fit in fits]
    least = FLOOR**2 * max(float(shared.nanmean()) for shared in together)
    least = max(least, 1e-30)  # every value is the same one
    floored, kept = 0.0, []
    for fit, shared in zip(fits, together, strict=True):
        variance = fit.variance if own else shared
        floor = (FLOOR**2 * shared).clamp(min=least)
        floored = max(floored, (variance < floor).double().mean().item())
        kept.append(_Fit(fit.mean, torch.maximum(variance, floor)))
    return (kept[0], kept[1]), floored


def _without(dropped: Tensor, values: Tensor) -> _Fit:
    """Return mean and unbiased variance of each column of ``values`` without each ``dropped``."""
    count = (~values.isnan()).sum(dim=0)
    centre = values.nanmean(dim=0)
    off = (values - centre).nan_to_num_(0.0)
    first, second = off.sum(dim=0), off.square().sum(dim=0)
    gone = dropped - centre
    mean = (first - gone) / (count - 1)
    rest = second - gone.square() - (count - 1) * mean.square()
    return _Fit(mean + centre, (rest / (count - 2)).clamp(min=0))


def _packed(values: Tensor) -> Tensor:
    """Return the values of each column from the top on, NaN below, ``(most, n)``."""
    absent = values.isnan()
    if not absent.any():
        return values
    order = absent.sort(dim=0, stable=True).indices
    return values.gather(0, order)[: int((~absent).sum(dim=0).max().item())]


def _unpacked(packed: Tensor, like: Tensor) -> Tensor:
    if len(packed) == len(like) and not like.isnan().any():
        return packed
    order = like.isnan().sort(dim=0, stable=True).indices[: len(packed)]
    return torch.full_like(like, torch.nan).scatter(0, order, packed)


def _partners(packed: Tensor, counts: Tensor, rows: int) -> Tensor:
    """Return ``rows`` values of each column, all of them in turn."""
    if rows == len(packed) and bool((counts == rows).all()):
        return packed
    return packed.gather(0, torch.arange(rows).unsqueeze(-1) % counts)
