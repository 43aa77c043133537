"""Verification by a backdoor: does the trigger still work?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from erasure.core.context import EvalContext, Who
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Value, share
from erasure.core.values import MetricValue, NotComputableError
from erasure.evaluation.signals import predictions, require_multiclass
from erasure.evaluation.statistics.estimates import proportion

PROBE = "triggered"
"""Held-out samples of other classes with the trigger on, see ``split=poison``."""


@dataclass(frozen=True, kw_only=True)
class BackdoorVerify:
    """Whether the samples that carried a backdoor into the model have been forgotten.

    ``asr``, the attack success rate, is the share of triggered held-out samples of other classes
    that get the class of the trigger; ``clean_accuracy`` is that of held-out samples without it.
    ``p_value`` tests the hypothesis that the samples were deleted, under which the trigger works
    no better than for the retrained model, and no better than one in C: how likely a deleted
    model would answer at least so many queries with the class of the trigger. The extras have
    the number of hits from which on deletion is refuted, and how often a model that still has the
    backdoor, as the original does, would get away with fewer (``beta``).

    Args:
        alpha: How often the test may refute a deletion that took place, in (0, 1).
        min_n: Fewest triggered samples.

    References:
        D. Sommer et al., "Athena: Probabilistic Verification of Machine Unlearning", PoPETs 2022,
        arXiv:2003.04247; T. Gu et al., "BadNets", 2017, arXiv:1708.06733.
    """

    alpha: float = 1e-3
    min_n: int = 10

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ConfigError(f"alpha must be in (0, 1), got {self.alpha}")
        if self.min_n < 1:
            raise ConfigError(f"min_n must be >= 1, got {self.min_n}")

    def values(self, parts: Parts) -> Mapping[str, Value]:
        held = parts.heldout
        asr = f"Share of triggered {held} samples that get the class of the trigger."
        clean = f"Share of correct predictions on {held} samples without the trigger."
        test = "Probability of so many hits of the trigger had the samples been deleted."
        return {
            "backdoor_verify/asr": Value(share("min", asr), self._asr),
            "backdoor_verify/clean_accuracy": Value(share("max", clean), _clean_accuracy),
            "backdoor_verify/p_value": Value(share("max", test), self._p_value),
        }

    def _asr(self, ctx: EvalContext) -> MetricValue:
        return proportion(*self._hits(ctx, ctx.subject))

    def _p_value(self, ctx: EvalContext) -> MetricValue:
        hits, n = self._hits(ctx, ctx.subject)
        rates = {
            who: self._hits(ctx, who)[0] / n for who in ("original", "gold") if who in ctx.models
        }
        # The larger of both: a trigger that works by chance must not refute a deletion.
        deleted = max(1 / ctx.num_classes, rates.get("gold", 0.0))
        kept = rates.get("original")
        test = deletion_test(n, deleted, kept, self.alpha)
        extras = {**test._asdict(), "hits": hits, "deleted_rate": deleted, "kept_rate": kept}
        extras["refuted"] = hits >= test.threshold
        return MetricValue(value=at_least(hits, n, deleted), n=n, extras=extras)

    def _hits(self, ctx: EvalContext, who: Who) -> tuple[int, int]:
        """Return how many triggered samples of how many get the class of the trigger."""
        target = trigger_class(ctx)
        is_hit = predictions(ctx, PROBE, who) == target
        if len(is_hit) < self.min_n:
            raise NotComputableError("degenerate", "too_few")
        return int(is_hit.sum().item()), len(is_hit)


class DeletionTest(NamedTuple):
    """A test of the hypothesis that samples with a trigger were deleted.

    Args:
        threshold: Fewest hits that refute it.
        size: How often it is refuted although it is true.
        beta: How often it is not refuted although a model kept the backdoor; None if it is not
            known how well the trigger then works.
    """

    threshold: int
    size: float
    beta: float | None


def deletion_test(n: int, deleted: float, kept: float | None, alpha: float) -> DeletionTest:
    """Return the most powerful test of ``n`` queries with an error of at most ``alpha``.

    Args:
        n: Number of queries.
        deleted: Rate of hits if the samples were deleted.
        kept: Rate of hits if they were not, or None if it is not known.
        alpha: Largest probability of refuting a true deletion.
    """
    from scipy.stats import binom

    threshold = int(binom.isf(alpha, n, deleted)) + 1  # the smallest t with P[X >= t] <= alpha
    beta = None if kept is None else float(binom.cdf(threshold - 1, n, kept))
    return DeletionTest(threshold, at_least(threshold, n, deleted), beta)


def at_least(hits: int, n: int, rate: float) -> float:
    """Return the probability of ``hits`` or more out of ``n``, each with probability ``rate``."""
    from scipy.stats import binom

    # sf is P[X > k], hence the 1.
    return float(binom.sf(hits - 1, n, rate))


def trigger_class(ctx: EvalContext) -> int:
    """Return the class that the trigger stands for.

    Raises:
        NotComputableError: If nothing was poisoned.
    """
    require_multiclass(ctx)
    if ctx.splits.scenario.get("kind") != "poison":
        raise NotComputableError("skipped", "needs_poison")
    return int(ctx.splits.scenario["target"])


def _clean_accuracy(ctx: EvalContext) -> MetricValue:
    trigger_class(ctx)
    right = predictions(ctx, ctx.heldout) == ctx.targets(ctx.heldout)
    return proportion(int(right.sum().item()), len(right))
