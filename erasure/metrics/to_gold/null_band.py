"""How far apart two retrained models are: a gap below that is no gap."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch

from erasure.core.context import EvalContext, ReferenceRole
from erasure.core.errors import ConfigError
from erasure.core.values import Meaning, MetricValue, NotComputableError, measure
from erasure.evaluation.per_model import PerModel, per_model
from erasure.evaluation.statistics.estimates import LEVEL


@dataclass(frozen=True, kw_only=True)
class NullBand:
    """Gap that two retrainings with different seeds stay below 95 times in a hundred.

    ``null_band/forget/accuracy`` is the band for ``gap/forget/accuracy``, and so on. It belongs
    to data, split and recipe and is measured once, with the unlearned model; the extras say how
    many of the method's models have a gap to the retrained model of their seed inside the band.

    Args:
        min_models: Fewest retrained models, at least 3.
    """

    needs_roles: ClassVar[tuple[ReferenceRole, ...]] = ("unlearned", "gold")
    min_models: int = 5

    def __post_init__(self) -> None:
        if self.min_models < 3:
            raise ConfigError(f"min_models must be >= 3, got {self.min_models}")

    def schema(self, heldout: str) -> Mapping[str, Meaning]:
        return {
            f"null_band/{name}": Meaning(
                direction="info",
                low=0.0,
                high=1.0,
                description=f"Difference of {name} that two retrained models stay below in "
                "95 % of pairs.",
            )
            for name in per_model(heldout)
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        if ctx.subject != "unlearned":
            return {}
        return {
            f"null_band/{name}": measure(partial(self._band, ctx, values))
            for name, values in per_model(ctx.heldout).items()
        }

    def _band(self, ctx: EvalContext, values: PerModel) -> MetricValue:
        golds = values(ctx, "gold")
        if len(golds) < self.min_models:
            raise NotComputableError("degenerate", "too_few")
        apart = torch.pdist(golds.unsqueeze(1), p=1)
        band = apart.quantile(LEVEL).item()
        ours = values(ctx, "unlearned")
        size = min(len(ours), len(golds))
        gaps = (ours[:size] - golds[:size]).abs()
        extras = {
            "golds": len(golds),
            "median": apart.median().item(),
            "mean_gap": gaps.mean().item(),
            "share_inside": (gaps <= band).double().mean().item(),
        }
        return MetricValue(value=band, n=len(apart), extras=extras)
