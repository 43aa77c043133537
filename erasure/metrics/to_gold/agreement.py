"""How often a model predicts the same class as the retrained one."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.metric import Parts, Value, share
from erasure.core.task_types import TaskType
from erasure.core.values import MetricValue
from erasure.evaluation.outputs import gold_null
from erasure.evaluation.statistics.estimates import mean, proportion


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Share of samples per part on which a model and the retrained one predict the same class.

    Where a sample has several labels it is the share of labels that are predicted the same. Two
    retrained models do not agree everywhere either: with several among the reference models the
    extras hold their agreement with each other, and no method can be asked for more.

    References:
        Y. Cao and J. Yang, "Towards Making Systems Forget with Machine Unlearning", S&P 2015:
        completeness.
    """

    def values(self, parts: Parts) -> Mapping[str, Value]:
        description = "Share of the {} set predicted as the retrained model does."
        return {
            f"{part}/agreement": Value(
                share("max", description.format(part), ideal=1.0), partial(_agreement, part)
            )
            for part in parts
        }


def _agreement(part: str, ctx: EvalContext) -> MetricValue:
    logits, gold_logits = ctx.logits(part), ctx.logits(part, "gold")
    extras = gold_null(ctx, part, _equal_share)
    equal = _equal_share(ctx.task_type, logits, gold_logits)
    if ctx.task_type.name == "multilabel":
        # Labels of one sample are not independent: the interval is that of a mean over samples.
        return replace(mean(equal, low=0.0, high=1.0), extras=extras)
    return proportion(int(equal.sum().item()), len(equal), extras)


def _equal_share(kind: TaskType, logits: Tensor, others: Tensor) -> Tensor:
    """Return the share ``(n,)`` of what is predicted of a sample that is the same in both."""
    equal = kind.predicted(logits) == kind.predicted(others)
    return equal.double().flatten(1).mean(dim=-1) if equal.ndim > 1 else equal.double()
