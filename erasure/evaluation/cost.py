"""What unlearning cost, beside what retraining costs."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.metric import Direction, Measured, MetricSchema, NotComputableError, measure
from erasure.evaluation.facts import fact

BYTES_PER_MB = 1e6


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Time, memory and passes over the data of the unlearning run.

    They belong to the run that made the unlearned model; for any other subject there is nothing
    to measure and the mapping is empty. Times are comparable on equal hardware only.
    """

    def schema(self, heldout: str) -> Mapping[str, MetricSchema]:  # noqa: ARG002 - costs know no part
        return {
            "cost/unlearn_seconds": _schema("min", "Wall time of the unlearning method.", "s"),
            "cost/original_seconds": _schema("info", "Training time of the original model.", "s"),
            "cost/retrain_seconds": _schema("info", "Training time of the retrained model.", "s"),
            "cost/speedup": _schema("max", "Retraining time over unlearning time."),
            "cost/share_of_retraining": _schema("min", "Unlearning time over retraining time."),
            "cost/peak_memory_mb": _schema("min", "Peak memory while unlearning.", "MB"),
            "cost/forget_passes": _schema("min", "Mean reads per forget sample while unlearning."),
            "cost/retain_passes": _schema("min", "Mean reads per retain sample while unlearning."),
            "cost/optimizer_steps": _schema("min", "Optimizer steps while unlearning."),
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, Measured]:
        if ctx.subject != "unlearned":
            return {}
        return {name: measure(partial(compute, ctx)) for name, compute in _COSTS.items()}


def _schema(direction: Direction, description: str, unit: str = "") -> MetricSchema:
    return MetricSchema(
        direction=direction,
        low=0.0,
        high=math.inf,
        description=f"{description} Of the unlearned model only.",
        unit=unit,
    )


def _ratio(ctx: EvalContext, above: str, below: str) -> float:
    upper, lower = fact(ctx, above), fact(ctx, below)
    if lower == 0:
        raise NotComputableError("degenerate", f"zero_{below}")
    return upper / lower


def _megabytes(ctx: EvalContext) -> float:
    return fact(ctx, "peak_memory_bytes") / BYTES_PER_MB


_COSTS: Mapping[str, Callable[[EvalContext], float]] = {
    "cost/unlearn_seconds": partial(fact, name="unlearn_seconds"),
    "cost/original_seconds": partial(fact, name="original_seconds"),
    "cost/retrain_seconds": partial(fact, name="retrain_seconds"),
    "cost/speedup": partial(_ratio, above="retrain_seconds", below="unlearn_seconds"),
    "cost/share_of_retraining": partial(_ratio, above="unlearn_seconds", below="retrain_seconds"),
    "cost/peak_memory_mb": _megabytes,
    "cost/forget_passes": partial(fact, name="forget_passes"),
    "cost/retain_passes": partial(fact, name="retain_passes"),
    "cost/optimizer_steps": partial(fact, name="optimizer_steps"),
}
