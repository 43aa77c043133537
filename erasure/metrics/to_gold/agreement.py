"""How often a model predicts the same class as the retrained one."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.task_types import TaskType
from erasure.core.values import Meaning, MetricValue, measure
from erasure.evaluation.gold_null import gold_null
from erasure.evaluation.statistics.estimates import mean, proportion


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Share of samples per part on which a model and the retrained one predict the same class.

    Where a sample has several labels it is the share of labels that are predicted the same. With
    several retrained models in a pool the extras hold their agreement with each other.

    References:
        Y. Cao and J. Yang, "Towards Making Systems Forget with Machine Unlearning", S&P 2015:
        completeness.
    """

    def schema(self, heldout: str) -> Mapping[str, Meaning]:
        return {
            f"{part}/agreement": Meaning(
                direction="max",
                low=0.0,
                high=1.0,
                ideal=1.0,
                description=f"Share of the {part} set predicted as the retrained model does.",
            )
            for part in ("forget", "retain", heldout)
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        return {f"{part}/agreement": measure(partial(_agree, ctx, part)) for part in ctx.parts}


def _agree(ctx: EvalContext, part: str) -> MetricValue:
    own, gold = ctx.logits(part), ctx.logits(part, "gold")
    extras = gold_null(ctx, part, _equal)
    same = _equal(ctx.task_type, own, gold)
    if ctx.task_type.name == "multilabel":
        return replace(mean(same, low=0.0, high=1.0), extras=extras)
    return proportion(int(same.sum().item()), len(same), extras)


def _equal(kind: TaskType, logits: Tensor, others: Tensor) -> Tensor:
    """Return the share (n,) of what is predicted of a sample that is the same."""
    same = kind.predicted(logits) == kind.predicted(others)
    return same.double().flatten(1).mean(dim=-1) if same.ndim > 1 else same.double()
