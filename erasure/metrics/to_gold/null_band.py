"""How far apart two retrained models are: a gap below that is no gap."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch

from erasure.core.context import EvalContext, Who
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Value, share
from erasure.core.references import ReferenceRole
from erasure.core.values import MetricValue, NotComputableError
from erasure.evaluation.per_model import PerModel, per_model
from erasure.evaluation.statistics.estimates import t_quantile


@dataclass(frozen=True, kw_only=True)
class NullBand:
    """Gap that two further retrainings stay below 95 times in a hundred.

    It is Student's t with one degree of freedom less than there are retrained models, times their
    standard deviation and the root of 2: what two new models of a normal distribution differ by,
    of which so many have been seen. The quantile of all pairs would count pairs where there are
    few models: with five of them, 18 % of new pairs lie outside it.

    ``null_band/forget/accuracy`` is the band for ``gap/forget/accuracy``, and so on. It belongs
    to data, split and recipe and is measured once, with the unlearned model; the extras say how
    many of the method's models have a gap to the retrained model of their seed inside the band.

    Args:
        min_models: Fewest retrained models, at least 3.

    References:
        A prediction interval, G. Hahn and W. Meeker, "Statistical Intervals", 1991.
    """

    subjects: ClassVar[tuple[Who, ...]] = ("unlearned",)
    needs_roles: ClassVar[tuple[ReferenceRole, ...]] = ("unlearned", "gold")
    min_models: int = 5

    def __post_init__(self) -> None:
        if self.min_models < 3:
            raise ConfigError(f"min_models must be >= 3, got {self.min_models}")

    def values(self, parts: Parts) -> Mapping[str, Value]:
        return {
            f"null_band/{name}": Value(
                share(
                    "info",
                    f"Difference of {name} that two new retrained models stay below with 95 %.",
                ),
                partial(self._band, values),
            )
            for name, values in per_model(parts.heldout).items()
        }

    def _band(self, values: PerModel, ctx: EvalContext) -> MetricValue:
        golds = values(ctx, "gold")
        if len(golds) < self.min_models:
            raise NotComputableError("degenerate", "too_few")
        spread = golds.double().std().item()
        if spread == 0:  # five that agree are no proof that a sixth does
            raise NotComputableError("degenerate", "golds_agree")
        band = min(1.0, t_quantile(len(golds) - 1) * math.sqrt(2) * spread)
        # p=1 on one column: the absolute differences of all pairs, each once
        differences = torch.pdist(golds.unsqueeze(1), p=1)
        unlearned = values(ctx, "unlearned")
        # The k-th unlearned and the k-th retrained model share a seed.
        pairs = min(len(unlearned), len(golds))
        gaps = (unlearned[:pairs] - golds[:pairs]).abs()
        extras = {
            "golds": len(golds),
            "median": differences.median().item(),
            "mean_gap": gaps.mean().item(),
            "share_inside": (gaps <= band).double().mean().item(),
        }
        return MetricValue(value=band, n=len(golds), extras=extras)
