"""Standard errors of rates whose observations are not independent.

The scores of one sample under many models share a fit, those of one model on many samples share
a network, and every model is part of the fits by which the others are judged.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from erasure.core.values import MetricValue
from erasure.evaluation.statistics.estimates import clopper_pearson, t_quantile

GROUPS = 16
"""Groups of models that the jackknife leaves out in turn."""


@dataclass(frozen=True)
class ClusteredValues:
    """Values of one side, with the sample and the model that each is of.

    Args:
        values: ``(n,)`` float64.
        samples: Number of the sample, ``(n,)`` int64.
        models: Number of the model, ``(n,)`` int64.
    """

    values: Tensor
    samples: Tensor
    models: Tensor

    @classmethod
    def of(cls, table: Tensor) -> "ClusteredValues":
        """Take the values of ``(models, samples)`` that are not NaN."""
        models, samples = (~table.isnan()).nonzero(as_tuple=True)
        return cls(table[models, samples], samples, models)

    def __len__(self) -> int:
        return len(self.values)


def above(scores: Tensor, others: Tensor) -> Tensor:
    """Return the share of ``others`` (m,) below each of ``scores`` (n,), ties counting half.

    Its mean is the AUC of scores that are positives and others that are negatives.
    """
    ranked = others.sort().values
    # Neighbouring queries are answered from the same memory.
    queries, order = scores.sort()
    below = torch.searchsorted(ranked, queries)
    not_above = torch.searchsorted(ranked, queries, right=True)
    shares = (below + not_above).double() / (2 * len(ranked))
    return torch.empty_like(shares).scatter_(0, order, shares)


def two_way_error(sides: Sequence[tuple[ClusteredValues, Tensor]]) -> float:
    """Return the standard error of a sum of means, clustered by sample and by model.

    It is the variance by samples plus that by models minus what both have counted, at least the
    larger of the two. Model k of one side and model k of the other are one cluster, for they
    share a seed.

    Args:
        sides: Of each mean its values, and how far each pulls the sum from its value,
            ``(n,)``: deviations that add up to zero, over n, times the weight of the mean.

    References:
        C. Cameron et al., "Robust inference with multiway clustering", Journal of Business and
        Economic Statistics 29, 2011; N. Obuchowski, "Nonparametric analysis of clustered ROC
        curve data", Biometrics 53, 1997.
    """
    pulls = torch.cat([pull for _, pull in sides])
    by_sample = _variance(pulls, torch.cat([side.samples for side, _ in sides]))
    by_model = _variance(pulls, torch.cat([side.models for side, _ in sides]))
    both = by_sample + by_model - pulls.square().sum().item()
    return math.sqrt(max(by_sample, by_model, both))


def jackknife_errors(statistics: Callable[[Tensor], Tensor], models: int) -> Tensor:
    """Return standard errors ``(k,)`` of statistics by leaving out models, a group at a time.

    It covers what clustering cannot see, that every model is part of the fits by which the
    others are judged, and is too large rather than too small where there is nothing to see.

    Args:
        statistics: Maps the models that stay, ``(models,)`` bool, to values ``(k,)``.
        models: How many models there are.
    """
    # Fits are costly, so groups of models are left out and not each by itself.
    groups = min(GROUPS, models)
    group_of = torch.arange(models) % groups
    estimates = torch.stack([statistics(group_of != left_out) for left_out in range(groups)])
    spread = (estimates - estimates.mean(dim=0)).square().sum(dim=0)
    return ((groups - 1) / groups * spread).sqrt()


def error_near_null(value: float, error: float, nulls: Tensor) -> float:
    """Return the standard error of a statistic, which near its null is that of the null.

    At the null a statistic of fitted scores depends on the fits to second order only, which a
    jackknife counts up to twice: its error is up to 2.2 times too large there, and right where
    there is something to see. Up to two standard errors from the null that of the null is taken,
    from four on the other, and between them the mean of both variances that is in between.

    Args:
        value: The statistic.
        error: Its standard error where the two groups differ.
        nulls: Values of the statistic with groups that are alike, ``(k,)``.
    """
    null_error = nulls.std().item()
    if null_error == 0:
        return error
    away = abs(value - nulls.mean().item()) / null_error
    weight = min(max(away / 2 - 1, 0.0), 1.0)
    return math.sqrt((1 - weight) * null_error**2 + weight * error**2)


def rate_interval(value: float, error: float, clusters: int) -> tuple[float, float]:
    """Return the interval of a rate by Student's t, within [0, 1].

    Args:
        value: The estimate.
        error: Its standard error.
        clusters: How many independent clusters the error was estimated from.
    """
    reach = error * t_quantile(max(clusters - 1, 1))
    return max(0.0, value - reach), min(1.0, value + reach)


def clustered_proportion(hits: ClusteredValues, error: float) -> MetricValue:
    """Return the share of hits with an exact interval for as many as are independent.

    The interval is that of Clopper and Pearson with the number of observations that would give
    the standard error if they were independent (E. Korn and B. Graubard, "Confidence intervals
    for proportions with small expected number of positive counts estimated from survey data",
    Survey Methodology 24, 1998). Where nobody or everybody is hit, that is the number of samples.

    Args:
        hits: Values of 0 and 1.
        error: Standard error of the share.
    """
    value = hits.values.mean().item()
    effective = float((hits.samples.bincount() > 0).sum())
    if error > 0 and 0 < value < 1:
        effective = min(float(len(hits)), value * (1 - value) / error**2)
    low, high = clopper_pearson(value * effective, effective)
    return MetricValue(
        value=value,
        ci_low=min(low, value),
        ci_high=max(high, value),
        n=len(hits),
        extras={"effective_n": effective},
    )


def _variance(pulls: Tensor, clusters: Tensor) -> float:
    sums = clusters.bincount(weights=pulls)
    # Numbers of samples or models that do not occur are no clusters. The last factor is that of
    # a variance estimated from few clusters.
    count = int((clusters.bincount() > 0).sum())
    return sums.square().sum().item() * count / max(count - 1, 1)
