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
    """What the attack thinks of each model and sample, higher for a likely member.

    Args:
        members: ``(N, n)``; NaN where there was no value.
        nonmembers: ``(M, n)``; likewise.
        floored: Share of the standard deviations that were raised to the floor.
    """

    members: Tensor
    nonmembers: Tensor
    floored: float


class _Fit(NamedTuple):
    mean: Tensor
    variance: Tensor


def likelihood_ratios(members: Tensor, nonmembers: Tensor) -> Scores:
    """Return ``log N(x; members) - log N(x; nonmembers)`` of every value, fitted without it.

    The value to be scored and a partner on the other side, the one in the same row if there is
    one, are left out of the fits, in closed form. Leaving out a value on its own side alone would
    make the fit of that side the worse one, and tell apart what is alike. With fewer than 64
    models per side all samples share a variance: one that is estimated from few models costs
    more than it tells.

    Args:
        members: Values of models that saw a sample, models by samples, ``(N, n)`` float64; NaN
            where a model says nothing about a sample, at least 4 others per sample.
        nonmembers: Values of models that did not, ``(M, n)``, likewise.

    References:
        J. Hayes et al., "Inexact Unlearning Needs More Careful Evaluations to Avoid a False
        Sense of Privacy", SaTML 2025, arXiv:2403.01218; N. Carlini et al., "Membership Inference
        Attacks From First Principles", S&P 2022, arXiv:2112.03570.
    """
    left, right = _packed(members), _packed(nonmembers)
    counts = torch.stack([(~side.isnan()).sum(dim=0) for side in (left, right)])
    per_sample = bool(counts.min() >= OWN_SPREAD)
    partners = _partners(right, counts[1], len(left))
    for_left, floored = _fits(left, partners, left, right, per_sample=per_sample)
    if bool((counts == len(left)).all()):
        # Each row is the partner of the same row, so the fits without both serve both.
        for_right = for_left
    else:
        partners = _partners(left, counts[0], len(right))
        for_right, share = _fits(partners, right, left, right, per_sample=per_sample)
        floored = max(floored, share)
    return Scores(
        _unpacked(_ratio(left, *for_left), members),
        _unpacked(_ratio(right, *for_right), nonmembers),
        floored,
    )


def _ratio(x: Tensor, members: _Fit, nonmembers: _Fit) -> Tensor:
    near, far = ((x - fit.mean).square() / fit.variance for fit in (members, nonmembers))
    # In this order equal fits give exactly 0, whose ties are half a win.
    return 0.5 * ((far - near) + (nonmembers.variance.log() - members.variance.log()))


def _fits(
    without_left: Tensor, without_right: Tensor, left: Tensor, right: Tensor, *, per_sample: bool
) -> tuple[tuple[_Fit, _Fit], float]:
    """Fit both sides, each time without one value of each, and keep spreads away from zero.

    Args:
        without_left: What to leave out of each column of ``left``, one value per row.
        without_right: The same for ``right``.
        left: Values of one side, ``(N, n)``.
        right: Values of the other, ``(M, n)``.
        per_sample: Whether each sample has a variance of its own, or all share the mean of them.

    Returns:
        Both fits, and the larger share of variances that were raised to the floor.
    """
    fits = (_without(without_left, left), _without(without_right, right))
    together = [fit.variance.nanmean(dim=-1, keepdim=True) for fit in fits]
    least = FLOOR**2 * max(float(shared.nanmean()) for shared in together)
    least = max(least, 1e-30)  # every value is the same one
    floored, kept = 0.0, []
    for fit, shared in zip(fits, together, strict=True):
        variance = fit.variance if per_sample else shared
        floor = (FLOOR**2 * shared).clamp(min=least)
        floored = max(floored, (variance < floor).double().mean().item())
        kept.append(_Fit(fit.mean, torch.maximum(variance, floor)))
    return (kept[0], kept[1]), floored


def _without(dropped: Tensor, values: Tensor) -> _Fit:
    """Return mean and unbiased variance of each column of ``values`` without each ``dropped``."""
    count = (~values.isnan()).sum(dim=0)
    # Sums of deviations from the mean, from which one term is taken away: sums of the values
    # themselves would cancel where the mean is large beside the spread.
    centre = values.nanmean(dim=0)
    off = (values - centre).nan_to_num_(0.0)
    first, second = off.sum(dim=0), off.square().sum(dim=0)
    gone = dropped - centre
    mean = (first - gone) / (count - 1)
    # Squares about the mean m of the rest: those about the old one, less m^2 for each of them.
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
    # Row r meets value r modulo the number of values of its column.
    return packed.gather(0, torch.arange(rows).unsqueeze(-1) % counts)
