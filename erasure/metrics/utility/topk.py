"""Whether the true class is among the k likeliest."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.values import Meaning, MetricValue, NotComputableError, measure
from erasure.evaluation.signals import require_multiclass
from erasure.evaluation.statistics.estimates import proportion


@dataclass(frozen=True, kw_only=True)
class TopK:
    """Share of samples per part whose class is among the ``k`` with the largest logits.

    Of equal logits those of lower classes come first, as they do for the accuracy.

    Args:
        k: How many classes are looked at, at least 2. With as many classes as that or fewer
            there is no value.
    """

    k: int = 5

    def __post_init__(self) -> None:
        if self.k < 2:
            raise ConfigError(f"k must be >= 2, got {self.k}")

    def schema(self, heldout: str) -> Mapping[str, Meaning]:
        return {
            f"topk/{part}/top_{self.k}": Meaning(
                direction="closer_to_gold" if part == "forget" else "max",
                low=0.0,
                high=1.0,
                description=f"Share of the {part} set whose class is among the {self.k} first.",
            )
            for part in ("forget", "retain", heldout)
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        return {
            f"topk/{part}/top_{self.k}": measure(partial(self._share, ctx, part))
            for part in ctx.parts
        }

    def _share(self, ctx: EvalContext, part: str) -> MetricValue:
        require_multiclass(ctx)
        if self.k >= ctx.num_classes:
            raise NotComputableError("skipped", "no_more_than_k_classes")
        logits, own = ctx.logits(part), ctx.targets(part).unsqueeze(-1)
        scores = logits.gather(-1, own)
        before = (logits == scores).cumsum(dim=-1).gather(-1, own) - 1  # ties in front of it
        better = (logits > scores).sum(dim=-1, keepdim=True) + before
        return proportion(int((better < self.k).sum().item()), len(own))
