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

SKEWNESS_FROM = 10
"""Values from which on their skewness is estimated."""


def proportion(hits: int, n: int, extras: Mapping[str, Any] | None = None) -> MetricValue:
    """Return the share ``hits / n`` with its Clopper-Pearson interval."""
    low, high = clopper_pearson(hits, n)
    return MetricValue(value=hits / n, ci_low=low, ci_high=high, n=n, extras=extras or {})


def mean(values: Tensor, *, low: float, high: float) -> MetricValue:
    """Return the mean of ``values`` (n,) with an interval of Student's t that allows for skewness.

    Losses are skewed, which makes the plain interval miss the mean too often: of a log-normal
    distribution at n = 30 in 13 % of samples. Hall's cubic transformation of t takes that out.

    Args:
        values: ``(n,)``.
        low: Smallest possible value.
        high: Largest possible value, which may be infinite.

    Returns:
        The mean. Its interval is NaN for a single value, and for equal ones, whose spread says
        nothing; equal values at a finite end of the range have an exact one-sided bound.

    References:
        P. Hall, "On the removal of skewness by transformation", Journal of the Royal Statistical
        Society B 54, 1992.
    """
    x = values.double()
    n, average = len(x), x.mean().item()
    below, above = _mean_interval(x, average, low, high)
    return MetricValue(value=average, ci_low=below, ci_high=above, n=n)


def mean_of_draws(values: Tensor, *, low: float, high: float) -> MetricValue:
    """Return the mean of a few random draws with the interval of Student's t, for normal values.

    Args:
        values: ``(n,)``; of one, or of equal ones, which say nothing of the spread, the interval
            is NaN.
        low: Smallest possible value.
        high: Largest possible value.
    """
    draws, n = values.double(), len(values)
    error = draws.std().item() / math.sqrt(n) if n > 1 else math.nan
    below, above = t_interval(draws.mean().item(), error, n - 1)
    if not math.isnan(below):
        below, above = max(low, below), min(high, above)
    return MetricValue(value=draws.mean().item(), ci_low=below, ci_high=above, n=n)


def rates_interval(rates: Tensor, sizes: Tensor) -> tuple[float, float]:
    """Return the interval of the mean of independent rates, such as TPR and TNR.

    The distance of each rate to the ends of its Wilson interval is its error to either side, and
    errors add in squares: so it has a width where every rate is 0 or 1, and stays in [0, 1].

    Args:
        rates: ``(k,)`` in [0, 1].
        sizes: How many samples each is the share of, ``(k,)``.

    References:
        R. Newcombe, "Interval estimation for the difference between independent proportions",
        Statistics in Medicine 17, 1998; G. Zou and A. Donner, "Construction of confidence limits
        about effect measures", Statistics in Medicine 27, 2008.
    """
    p, n = rates.double(), sizes.double()
    centre = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    reach = (p * (1 - p) / n + Z**2 / (4 * n**2)).sqrt() * Z / (1 + Z**2 / n)
    value = p.mean().item()
    down, up = ((p - (centre + sign * reach)).norm().item() / len(p) for sign in (-1, 1))
    return max(0.0, value - down), min(1.0, value + up)


def t_interval(value: float, error: float, degrees: float) -> tuple[float, float]:
    """Return the interval of Student's t around an estimate.

    Args:
        value: The estimate.
        error: Its standard error; NaN or 0, of values that do not vary, gives a NaN interval.
        degrees: Degrees of freedom of the error.
    """
    if not error > 0:
        return math.nan, math.nan
    return value - t_quantile(degrees) * error, value + t_quantile(degrees) * error


def t_quantile(degrees: float) -> float:
    """Return how many standard errors an interval of Student's t reaches to each side."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.5 + LEVEL / 2))


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


def _mean_interval(x: Tensor, average: float, low: float, high: float) -> tuple[float, float]:
    n = len(x)
    if bool((x == x[0]).all()):
        # All of n at an end: at least 0.025^(1/n) of the distribution is there, at most the rest
        # at the other end.
        if n > 1 and math.isfinite(high - low) and average in (low, high):
            reach = (high - low) * (1 - ((1 - LEVEL) / 2) ** (1 / n))
            return max(low, average - reach), min(high, average + reach)
        return math.nan, math.nan
    deviation = x.std().item()
    # Three or four values say nothing of a skewness.
    skewness = (x - average).pow(3).mean().item() / deviation**3 if n >= SKEWNESS_FROM else 0.0
    ends = (_without_skewness(sign * t_quantile(n - 1), skewness, n) for sign in (1, -1))
    below, above = (average - deviation * end for end in ends)
    return max(low, below), min(high, above)


def _without_skewness(t: float, skewness: float, n: int) -> float:
    """Return the t, over the root of n, that Hall's transformation maps to ``t``."""
    y = t / math.sqrt(n)
    if abs(skewness) < 1e-6:
        return y
    return 3 / skewness * (math.cbrt(1 + skewness * (y - skewness / (6 * n))) - 1)
