"""Whether the true class is among the k likeliest."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Value, gold_if_forget, share
from erasure.core.values import MetricValue, NotComputableError
from erasure.evaluation.signals import require_multiclass
from erasure.evaluation.statistics.estimates import proportion


@dataclass(frozen=True, kw_only=True)
class TopK:
    """Share of samples per part whose class is among the ``k`` with the largest logits.

    Of equal logits those of lower classes come first, as they do for the accuracy.

    Args:
        k: How many classes are looked at, at least 2. With as many classes as that or fewer
            there is no value.

    References:
        O. Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", IJCV 115,
        2015, arXiv:1409.0575.
    """

    k: int = 5

    def __post_init__(self) -> None:
        if self.k < 2:
            raise ConfigError(f"k must be >= 2, got {self.k}")

    def values(self, parts: Parts) -> Mapping[str, Value]:
        return {
            f"topk/{part}/top_{self.k}": Value(
                share(
                    gold_if_forget(part, "max"),
                    f"Share of the {part} set whose class is among the {self.k} first.",
                ),
                partial(self._share, part=part),
            )
            for part in parts
        }

    def _share(self, ctx: EvalContext, part: str) -> MetricValue:
        require_multiclass(ctx)
        if self.k >= ctx.num_classes:
            raise NotComputableError("skipped", "no_more_than_k_classes")
        logits, labels = ctx.logits(part), ctx.targets(part).unsqueeze(-1)
        scores = logits.gather(-1, labels)
        # Equal logits of lower classes come first; the class itself is the last one counted.
        ties_before = (logits == scores).cumsum(dim=-1).gather(-1, labels) - 1
        rank = (logits > scores).sum(dim=-1, keepdim=True) + ties_before
        return proportion(int((rank < self.k).sum().item()), len(labels))
