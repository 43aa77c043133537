"""Adaptive SSD: dampening with a threshold that the forget set itself sets."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from erasure.core.task import UnlearningTask
from erasure.unlearners.ssd import check_batch_size, dampen, squared_importance, warn_of_one_batch


@dataclass(frozen=True, kw_only=True)
class ASSD:
    r"""Dampen like SSD, with nothing to tune.

    With the importances :math:`f = I(forget)` and :math:`d = I(retain)` of SSD (here of the
    retain set, not of all training data) the threshold :math:`\alpha` is the q-th percentile of
    all finite ratios :math:`f / d` of the model, where
    :math:`q = 100 - \ln(1 + 100 n_{forget} / n)`: the larger the forget set, the more weights are
    selected. Weights with :math:`f > \alpha d` are multiplied by :math:`\min(d / f, 1)`.

    Args:
        batch_size: Samples per batch of both importances; part of the method.
        equal_batches: Batches whose sizes differ by at most one. ``False`` cuts them as the
            authors' code does, where a last batch of one sample counts as much as any other.

    Passes:
        1 over forget, 1 over retain.

    Deviations:
        Exact percentile by two order statistics; batches as ``ssd``.

    References:
        S. Schoepf, J. Foster and A. Brintrup, "Parameter-tuning-free data entry error unlearning
        with adaptive selective synaptic dampening", 2024, arXiv:2402.10098.

    Notes:
        The percentile interpolates linearly between neighbors. Ratios of a weight without any
        gradient on the retain set are not finite and do not enter it.
    """

    batch_size: int = 128
    equal_batches: bool = True

    def __post_init__(self) -> None:
        check_batch_size(self.batch_size)

    def __call__(self, task: UnlearningTask) -> nn.Module:
        warn_of_one_batch(task.forget, self.batch_size)
        retain, forget = (
            squared_importance(task, view, self.batch_size, equal=self.equal_batches)
            for view in (task.retain, task.forget)
        )
        size = len(task.forget) + len(task.retain)
        alpha = threshold(forget, retain, quantile(len(task.forget), size))
        share = dampen(task.model, forget, retain, alpha, dampening=1.0)
        task.report(1, 1, share_dampened=share, alpha=alpha)
        return task.model


def quantile(num_forget: int, size: int) -> float:
    """Return the share of ratios below the threshold, ``1 - ln(1 + 100 n_f / n) / 100``."""
    return 1.0 - math.log1p(100.0 * num_forget / size) / 100.0


def threshold(
    forget: Mapping[str, Tensor], retain: Mapping[str, Tensor], quantile: float
) -> float:
    """Return the quantile of all finite ratios ``forget / retain``, 0 if there is none."""
    ratios = torch.cat([(forget[name] / retain[name]).flatten() for name in forget])
    ratios = ratios[ratios.isfinite()]
    if len(ratios) == 0:
        return 0.0
    # Linear interpolation between order statistics, as numpy.percentile does it.
    rank = quantile * (len(ratios) - 1)
    # torch.quantile refuses more than 16 million values; two order statistics do not.
    low, high = (ratios.kthvalue(index + 1).values for index in (int(rank), math.ceil(rank)))
    return float(low.double() + (rank - int(rank)) * (high.double() - low.double()))
