"""The three numbers a search over several objectives minimizes."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.values import Meaning, MetricValue, NotComputableError, measure
from erasure.evaluation.costs import fact
from erasure.evaluation.statistics.divergences import LN2
from erasure.metrics.to_gold.gap import against_gold

Utility = Literal["drop", "gap"]


@dataclass(frozen=True, kw_only=True)
class Objectives:
    """Loss of utility, distance to the retrained model in forgetting, and the logarithm of time.

    Utility is the mean over retain and held-out set of the accuracy lost against the retrained
    model. Forgetting is the mean of three distances in [0, 1]: of the accuracies on the forget
    set, of the loss-attack AUCs, and the Jensen-Shannon divergence on the forget set over its
    bound ln 2. Both measure a distance to the retrained model, so a lower forget accuracy than
    its is no merit.

    Args:
        utility: ``drop`` counts only what is lost, ``gap`` any distance.

    References:
        X. Cadet et al., "Deep Unlearn: Benchmarking Machine Unlearning", 2024,
        arXiv:2410.01276: distances to the retrained model as objectives of a search.
    """

    utility: Utility = "drop"

    def __post_init__(self) -> None:
        if self.utility not in ("drop", "gap"):
            raise ConfigError(f"utility must be drop or gap, got {self.utility!r}")

    def schema(self, heldout: str) -> Mapping[str, Meaning]:
        lost = "lost against" if self.utility == "drop" else "away from"
        return {
            "objective/utility": _schema(
                f"Accuracy {lost} the retrained model, mean of retain and {heldout} set.", 0.0, 1.0
            ),
            "objective/forgetting": _schema(
                "Distance to the retrained model on the forget set: mean of accuracy, loss-attack "
                "AUC, and Jensen-Shannon divergence over ln 2.",
                0.0,
                1.0,
            ),
            "objective/heldout_drop": _schema(
                f"Accuracy on the {heldout} set lost against the retrained model, signed.",
                -1.0,
                1.0,
            ),
            "objective/log_time": _schema(
                "Natural logarithm of unlearning time over retraining time.",
                -math.inf,
                math.inf,
            ),
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        values: dict[str, Callable[[], float]] = {
            "objective/utility": partial(self._utility, ctx),
            "objective/forgetting": partial(_forgetting, ctx),
            "objective/heldout_drop": partial(_drop, ctx, ctx.heldout),
            "objective/log_time": partial(_log_time, ctx),
        }
        return {name: measure(compute) for name, compute in values.items()}

    def _utility(self, ctx: EvalContext) -> float:
        drops = [_drop(ctx, part) for part in ("retain", ctx.heldout)]
        costs = [max(0.0, drop) if self.utility == "drop" else abs(drop) for drop in drops]
        return math.fsum(costs) / len(costs)


def _forgetting(ctx: EvalContext) -> float:
    distances = [
        abs(_lead(ctx, "forget/accuracy")),
        abs(_lead(ctx, "mia/loss/auc")),
        ctx.measured("forget/js_to_gold").value / LN2,
    ]
    return math.fsum(distances) / len(distances)


def _drop(ctx: EvalContext, part: str) -> float:
    return _lead(ctx, f"{part}/accuracy")


def _lead(ctx: EvalContext, name: str) -> float:
    """Return by how much a value of the retrained model exceeds the subject's."""
    own, gold = against_gold(ctx, name)
    return gold - own


def _log_time(ctx: EvalContext) -> float:
    if ctx.subject == "original":
        raise NotComputableError("skipped", "nothing_unlearned")
    if ctx.subject == "gold":
        return 0.0
    spent, retraining = fact(ctx, "unlearn_seconds"), fact(ctx, "retrain_seconds")
    if spent <= 0 or retraining <= 0:
        raise NotComputableError("degenerate", "zero_seconds")
    return math.log(spent / retraining)


def _schema(description: str, low: float, high: float) -> Meaning:
    return Meaning(direction="min", low=low, high=high, description=description)
