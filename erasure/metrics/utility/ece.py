"""Whether confidence is what accuracy says it should be."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Value, gold_if_forget, share
from erasure.core.values import MetricValue
from erasure.evaluation.signals import log_probs, predictions, require_multiclass


@dataclass(frozen=True, kw_only=True)
class ECE:
    """Expected calibration error per part: mean difference of confidence and accuracy.

    Samples are put into bins of equal width by the probability of the predicted class; the value
    is the absolute difference of mean confidence and accuracy, averaged over samples. The extras
    hold the largest difference of a bin, ``maximum``, and ``adaptive``, for which the bins have
    equally many samples instead.

    Args:
        bins: Number of bins, at least 2.

    References:
        C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, arXiv:1706.04599.
        J. Nixon et al., "Measuring Calibration in Deep Learning", CVPR workshops 2019,
        arXiv:1904.01685: the adaptive form.
    """

    bins: int = 15

    def __post_init__(self) -> None:
        if self.bins < 2:
            raise ConfigError(f"bins must be >= 2, got {self.bins}")

    def values(self, parts: Parts) -> Mapping[str, Value]:
        error = "Expected calibration error on the"
        return {
            f"ece/{part}": Value(
                share(gold_if_forget(part, "min"), f"{error} {part} set."),
                partial(self._error, part=part),
            )
            for part in parts
        }

    def _error(self, ctx: EvalContext, part: str) -> MetricValue:
        require_multiclass(ctx)
        confidence = log_probs(ctx, part).amax(dim=-1).exp()
        right = (predictions(ctx, part) == ctx.targets(part)).double()
        shares, gaps = _gaps(confidence, right, equal_width(confidence, self.bins), self.bins)
        order = confidence.argsort()
        evened = _evened_within_ties(confidence, right)[order]
        adaptive, _ = _gaps(
            confidence[order], evened, equal_mass(len(right), self.bins), self.bins
        )
        extras = {
            "maximum": gaps.max().item(),
            "adaptive": adaptive.sum().item(),
            "bins": self.bins,
        }
        return MetricValue(value=min(shares.sum().item(), 1.0), n=len(right), extras=extras)


def equal_width(confidence: Tensor, bins: int) -> Tensor:
    """Return the bin ``(n,)`` of each confidence in ``(0, 1]``; bins are closed above."""
    # A confidence that rounds to 0 belongs to the first bin.
    return (confidence * bins).ceil().long().clamp(1, bins) - 1


def equal_mass(n: int, bins: int) -> Tensor:
    """Return the bin ``(n,)`` of each of n sorted samples; bins differ by at most one sample."""
    return torch.arange(n) * bins // n


def _gaps(confidence: Tensor, right: Tensor, bin_of: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """Return the share of each bin in the error and the difference within it, each ``(bins,)``."""
    # The sum of right - confidence over a bin is its size times accuracy minus mean confidence.
    surplus = right.new_zeros(bins).index_add_(0, bin_of, right - confidence).abs()
    counts = bin_of.bincount(minlength=bins)
    return surplus / len(right), surplus / counts.clamp_min(1)  # an empty bin has no surplus


def _evened_within_ties(confidence: Tensor, right: Tensor) -> Tensor:
    """Return the mean of ``right`` (n,) over all samples of the same confidence.

    Bins of equal mass cut through ties, and the order within a tie must not matter.
    """
    levels, level_of = confidence.unique(return_inverse=True)
    hits = right.new_zeros(len(levels)).index_add_(0, level_of, right)
    shares: Tensor = hits / level_of.bincount()
    return shares[level_of]
