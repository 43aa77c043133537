"""Means and proportions with their 95 % confidence intervals."""

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor

from erasure.core.values import MetricValue

LEVEL = 0.95
"""Confidence level of every interval that is reported."""

Z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
"""How many standard errors a normal interval reaches to each side."""


def proportion(hits: int, n: int, extras: Mapping[str, Any] | None = None) -> MetricValue:
    """Return the share ``hits / n`` with its Clopper-Pearson interval."""
    low, high = clopper_pearson(hits, n)
    return MetricValue(value=hits / n, ci_low=low, ci_high=high, n=n, extras=extras or {})


def mean(values: Tensor, *, low: float, high: float) -> MetricValue:
    """Return the mean of ``values`` (n,) with a normal interval clipped to ``[low, high]``.

    The interval is NaN for a single value, whose spread is unknown.
    """
    n, average = len(values), values.double().mean().item()
    error = values.double().std().item() / math.sqrt(n) if n > 1 else math.nan
    below, above = normal_interval(average, error, low, high)
    return MetricValue(value=average, ci_low=below, ci_high=above, n=n)


def normal_interval(value: float, error: float, low: float, high: float) -> tuple[float, float]:
    """Return both ends of a normal interval clipped to ``[low, high]``.

    Args:
        value: The estimate.
        error: Its standard error; NaN gives a NaN interval.
        low: Smallest possible value.
        high: Largest possible value.
    """
    if math.isnan(error):
        return math.nan, math.nan
    return max(low, value - Z * error), min(high, value + Z * error)


def clopper_pearson(hits: float, n: float) -> tuple[float, float]:
    """Return the exact interval of a binomial proportion after ``hits`` successes in ``n``.

    References:
        C. Clopper and E. Pearson, "The use of confidence or fiducial limits illustrated in the
        case of the binomial", Biometrika 26, 1934.
    """
    from scipy.special import betaincinv

    tail = (1 - LEVEL) / 2
    # Quantiles of beta distributions; hits and n need not be whole, as for an effective size.
    low = float(betaincinv(hits, n - hits + 1, tail)) if hits > 0 else 0.0
    high = float(betaincinv(hits + 1, n - hits, 1 - tail)) if hits < n else 1.0
    return low, high


def upper_rates(counts: Tensor, n: int, confidence: float) -> Tensor:
    """Return the upper ends (k,) of Clopper-Pearson intervals after ``counts`` (k,) of ``n``."""
    from scipy.special import betaincinv

    tail = (1 + confidence) / 2
    # Where all n are counted the end is 1, and n - counts = 0 is not an argument of betaincinv.
    ends = betaincinv(counts.numpy() + 1, (n - counts).clamp(min=1e-9).numpy(), tail)
    return torch.where(counts < n, torch.as_tensor(ends, dtype=torch.float64), 1.0)
