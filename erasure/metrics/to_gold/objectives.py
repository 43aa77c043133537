"""The numbers that a search over several objectives minimizes or keeps below a bound."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Value, share
from erasure.core.values import Meaning, NotComputableError
from erasure.evaluation.statistics.divergences import LN2
from erasure.metrics.to_gold.gap import subject_and_gold

Utility = Literal["drop", "gap"]


@dataclass(frozen=True, kw_only=True)
class Objectives:
    """Loss of utility, distance to the retrained model in forgetting, and the logarithm of time.

    They are what a search over several objectives minimizes, ``heldout_drop`` a constraint of it.
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

    def values(self, parts: Parts) -> Mapping[str, Value]:
        lost = "lost against" if self.utility == "drop" else "away from"
        utility = share(
            "min",
            f"Accuracy {lost} the retrained model, mean of retain and {parts.heldout} set.",
        )
        forgetting = share(
            "min",
            "Distance to the retrained model on the forget set: mean of accuracy, loss-attack "
            "AUC, and Jensen-Shannon divergence over ln 2.",
        )
        drop = Meaning(
            direction="min",
            low=-1.0,
            high=1.0,
            description=f"Accuracy on the {parts.heldout} set lost against the retrained model, "
            "signed.",
        )
        log_time = Meaning(
            direction="min",
            low=-math.inf,
            high=math.inf,
            description="Natural logarithm of unlearning time over retraining time.",
        )
        return {
            "objective/utility": Value(utility, self._utility),
            "objective/forgetting": Value(forgetting, _forgetting),
            "objective/heldout_drop": Value(drop, partial(_drop, f"{parts.heldout}/accuracy")),
            "objective/log_time": Value(log_time, _log_time),
        }

    def _utility(self, ctx: EvalContext) -> float:
        drops = [_drop(f"{part}/accuracy", ctx) for part in ("retain", ctx.heldout)]
        # By part, not of the mean: a gain on one part does not pay for a loss on the other.
        losses = [max(0.0, drop) if self.utility == "drop" else abs(drop) for drop in drops]
        return math.fsum(losses) / len(losses)


def _forgetting(ctx: EvalContext) -> float:
    distances = [
        abs(_drop("forget/accuracy", ctx)),
        abs(_drop("mia/loss/auc", ctx)),
        # In nats its bound is ln 2: over it all three are in [0, 1].
        ctx.measured("forget/js_to_gold").value / LN2,
    ]
    return math.fsum(distances) / len(distances)


def _drop(name: str, ctx: EvalContext) -> float:
    """Return by how much a value of the retrained model exceeds the subject's."""
    value, gold = subject_and_gold(ctx, name)
    return gold - value


def _log_time(ctx: EvalContext) -> float:
    if ctx.subject == "original":
        raise NotComputableError("skipped", "nothing_unlearned")
    if ctx.subject == "gold":
        return 0.0  # retraining over retraining, also where its time is not known
    unlearning, retraining = ctx.cost("unlearn_seconds"), ctx.cost("retrain_seconds")
    if unlearning <= 0 or retraining <= 0:
        raise NotComputableError("degenerate", "zero_seconds")
    return math.log(unlearning / retraining)
