"""The true-positive rate at a low false-positive rate, with what is not known of its threshold."""

import math

import torch
from torch import Tensor

from erasure.evaluation.statistics.estimates import LEVEL


def allowed_alarms(fpr: float, negatives: int) -> int:
    """Return how many of so many negatives may be accused, ``floor(fpr * negatives)``."""
    return math.floor(fpr * negatives + 1e-9)  # 0.29 * 100 is 28.999...


def null_rate(fpr: float, negatives: int) -> float:
    """Return the rate of an attack that knows nothing, ``(floor(fpr * m) + 1) / (m + 1)``.

    The threshold is the strictest negative that is not accused, and one more score of the same
    distribution is as likely to be at any of the m + 1 ranks. So this, and not ``fpr``, is the
    false-positive rate that the threshold has on average, and the ideal of the true-positive rate:
    0.027 for 1 % of 36 negatives.
    """
    return (allowed_alarms(fpr, negatives) + 1) / (negatives + 1)


def tpr_interval(positives: Tensor, negatives: Tensor, fpr: float) -> tuple[float, float]:
    """Return the interval of the true-positive rate at :func:`null_rate`, of distinct scores.

    Both sides are a sample. How many of m negatives lie above the true threshold is binomial,
    so that threshold lies between two known ranks with a known probability; given it, the rate
    has the interval of Jeffreys. The ends are quantiles of the mixture, which is computed and not
    drawn. An exact binomial interval at the threshold that was seen covers as little as 46 %.

    Args:
        positives: Scores ``(n,)``.
        negatives: Scores ``(m,)``, of which at most ``floor(fpr * m)`` are accused.
        fpr: Allowed false-positive rate.

    Returns:
        Both ends in [0, 1]. With few negatives it is wide, and covers more than 95 %.
    """
    from scipy.optimize import brentq
    from scipy.special import betainc
    from scipy.stats import binom

    n, m = len(positives), len(negatives)
    rate = null_rate(fpr, m)
    # Beyond eight standard deviations a number of negatives has no weight in double precision.
    last = min(m, int(m * rate + 8 * math.sqrt(m * rate) + 12))
    ranked, scores = negatives.double().sort().values, positives.double().sort().values
    # The threshold is a score of a negative or just below: above it are those that exceed it.
    above = n - torch.searchsorted(scores, ranked.flip(0)[:last].contiguous(), right=True)
    hits = torch.cat([above.new_zeros(1), above]).double()
    hits = torch.cat([hits, hits.new_full((1,), float(n))]) if last == m else hits
    weights = torch.from_numpy(binom.pmf(torch.arange(len(hits) - 1).numpy(), m, rate))
    weights = weights / weights.sum()

    def reached(share: float) -> float:
        """The probability that the rate is at most ``share``."""
        sides = torch.from_numpy(betainc(hits.numpy() + 0.5, n - hits.numpy() + 0.5, share))
        # Between two ranks the number of hits is that of the upper or of the lower one.
        return float((weights * (sides[1:] + sides[:-1]) / 2).sum())

    tail = (1 - LEVEL) / 2
    low, high = (
        float(brentq(lambda share, p=p: reached(share) - p, 0.0, 1.0)) for p in (tail, 1 - tail)
    )
    return low, high
