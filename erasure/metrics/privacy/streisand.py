"""Signs of over-forgetting: forgotten samples that stand out by being predicted too badly."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Value, distance, share
from erasure.core.values import Meaning, MetricValue
from erasure.evaluation.attacks.nonmembers import non_members
from erasure.evaluation.attacks.values import attack_auc
from erasure.evaluation.signals import entropies, losses
from erasure.evaluation.statistics.estimates import t_interval
from erasure.evaluation.statistics.roc import null_error

EXACT = 500
"""Most samples per side for which the p-value of the two-sample test is exact."""


@dataclass(frozen=True, kw_only=True)
class Streisand:
    """Whether the forget set is predicted worse than samples that were never seen.

    Three one-sided quantities. ``higher_loss`` is the probability that a forget sample has a
    higher loss than an unseen one of the same kind; more than 0.5 by three standard errors is
    flagged as ``over_forgotten``, and the extras compare the error on the forget set with the
    error on the unseen samples, which is the target. ``entropy_excess`` is the mean entropy of
    the forget set minus that of the unseen samples. ``ks_to_gold`` is the Kolmogorov-Smirnov
    distance between the losses of the forget set under a model and under the retrained one.

    Args:
        min_n: Fewest samples per side for which a value is given, at least 2.

    References:
        M. Kurmanji et al., "Towards Unbounded Machine Unlearning", NeurIPS 2023,
        arXiv:2302.09880: the forget error should be that of unseen samples of the same classes.
        A. Golatkar et al., "Eternal Sunshine of the Spotless Net", CVPR 2020, arXiv:1911.04933:
        the Streisand effect.
    """

    min_n: int = 10

    def __post_init__(self) -> None:
        if self.min_n < 2:
            raise ConfigError(f"min_n must be >= 2, got {self.min_n}")

    def values(self, parts: Parts) -> Mapping[str, Value]:
        higher = (
            f"Probability that a forget sample has a higher loss than a {parts.heldout} sample "
            "of the same kind."
        )
        excess = Meaning(
            direction="closer_to_gold",
            low=-math.inf,
            high=math.inf,
            description=f"Mean entropy on the forget set minus that on {parts.heldout} samples of "
            "the same kind.",
            unit="nats",
        )
        ks = (
            "Largest distance between the distributions of forget losses under a model and under "
            "the retrained one."
        )
        return {
            "streisand/higher_loss": Value(
                share("closer_to_gold", higher, 0.5), self._higher_loss
            ),
            "streisand/entropy_excess": Value(excess, self._entropy_excess),
            "streisand/ks_to_gold": Value(distance(ks, high=1.0), _distance_to_gold),
        }

    def _higher_loss(self, ctx: EvalContext) -> MetricValue:
        chosen = non_members(ctx, min_n=self.min_n).chosen
        forget, unseen = losses(ctx, "forget"), losses(ctx, ctx.heldout)[chosen]
        # The error under the null: that of the AUC itself would be 0 for perfect separation.
        limit = 0.5 + 3 * null_error(len(forget), len(unseen))
        higher = attack_auc(forget, unseen)
        extras = {
            **higher.extras,
            "over_forgotten": higher.value > limit,
            "forget_error": _errors(ctx, "forget").mean().item(),
            "target_forget_error": _errors(ctx, ctx.heldout)[chosen].mean().item(),
        }
        return replace(higher, extras=extras)

    def _entropy_excess(self, ctx: EvalContext) -> MetricValue:
        chosen = non_members(ctx, min_n=self.min_n).chosen
        sides = (entropies(ctx, "forget"), entropies(ctx, ctx.heldout)[chosen])
        value = (sides[0].mean() - sides[1].mean()).item()
        # Two independent means, each with the variance of its own side.
        parts = [side.var().item() / len(side) for side in sides]
        # Welch's degrees of freedom, with which the smaller side counts; 0/0 where none varies.
        squares = [part**2 / (len(side) - 1) for part, side in zip(parts, sides, strict=True)]
        degrees = sum(parts) ** 2 / sum(squares) if sum(squares) > 0 else 1.0
        low, high = t_interval(value, math.sqrt(sum(parts)), degrees)
        return MetricValue(value=value, ci_low=low, ci_high=high, n=sum(map(len, sides)))


def _distance_to_gold(ctx: EvalContext) -> MetricValue:
    from scipy.stats import ks_2samp

    forget, gold = losses(ctx, "forget").numpy(), losses(ctx, "forget", "gold").numpy()
    test = ks_2samp(forget, gold, method="exact" if len(forget) <= EXACT else "asymp")
    extras = {"p_value": float(test.pvalue)}
    return MetricValue(value=float(test.statistic), n=len(forget), extras=extras)


def _errors(ctx: EvalContext, part: str) -> Tensor:
    return (~ctx.task_type.correct(ctx.logits(part), ctx.targets(part))).double()
