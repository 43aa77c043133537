"""A lower bound on epsilon from a single model, by canaries that coins put in or left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from erasure.core.context import EvalContext, Who
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Value, amount, share
from erasure.core.values import MetricValue, NotComputableError
from erasure.evaluation.attacks.values import attack_auc
from erasure.evaluation.signals import PHI_LIMIT, phi
from erasure.evaluation.statistics.one_run import one_run_bound

PROBE = "canaries_out"
"""Canaries that nothing was trained on, see ``split=canary``."""


@dataclass(frozen=True, kw_only=True)
class OneRunAudit:
    """What a single model gives away about who was in its training set, as an epsilon.

    ``split=canary`` tossed a coin for each canary: in the training set, and to be forgotten, or
    never trained on. An attacker ranks the canaries by the logit-scaled confidence in their
    labels and guesses that those with the highest were in and those with the lowest out, or,
    since a method may overdo it, the opposite. From the number of right guesses follows a lower
    bound on the epsilon of training and unlearning together, as a mechanism on the data: with
    95 % confidence it is (epsilon, delta)-private for no smaller epsilon.

    If unlearning is perfect the model does not depend on the coins, whatever the canaries are:
    ``epsilon`` is 0 but for at most one model in 20, and ``auc`` is 0.5 on average. Members and
    non-members differ in nothing but the coin, which other attacks can only hope for. A bound of
    0 does not show that nothing is left; the extra ``largest`` is what so many canaries could
    show at most.

    Args:
        calibrated: Subtract the confidence of the retrained model, which saw no canary: how hard
            a canary is then says nothing. The retrained model itself is attacked by its own
            confidence alone; its values check the audit.
        delta: Delta of the guarantee that is refuted, in [0, 1).
        shares: Shares of the canaries about which something is guessed, in (0, 1]: few guesses
            find a leak that only the most extreme canaries have, many give a larger bound.
        two_sided: Also make the opposite guesses.
        min_n: Fewest canaries in, and out, for which there are values, at least 2.

    Notes:
        The bound is the largest of those of all tests, one for each share and direction, whose
        confidence is raised accordingly (Bonferroni). It is one end of an interval, of which
        the other is infinite. It holds for any score, so that those of models which were
        attacked by different ones can be compared.

        Preprocessing that is fitted to the training set has seen the canaries that were in, and
        so has the retrained model by it.

        It costs a forward pass over the canaries that are out, for each model.

    References:
        T. Steinke, M. Nasr, M. Jagielski, "Privacy Auditing with One (1) Training Run", NeurIPS
        2023, arXiv:2305.08846.
    """

    calibrated: bool = True
    delta: float = 1e-5
    shares: Sequence[float] = (0.25, 1.0)
    two_sided: bool = True
    min_n: int = 10

    def __post_init__(self) -> None:
        if not 0 <= self.delta < 1:
            raise ConfigError(f"delta must be in [0, 1), got {self.delta}")
        if not self.shares or not all(0 < each <= 1 for each in self.shares):
            raise ConfigError(f"shares must be numbers in (0, 1], got {list(self.shares)}")
        if self.min_n < 2:
            raise ConfigError(f"min_n must be >= 2, got {self.min_n}")

    def values(self, parts: Parts) -> Mapping[str, Value]:
        epsilon = (
            "Epsilon that the unlearned model exceeds with 95 % confidence, by guesses which "
            "canaries were forgotten and which never seen."
        )
        auc = (
            "Area under the ROC curve of confidence, canaries that were forgotten against those "
            "that were never seen; 0.5 is chance."
        )
        return {
            "one_run_audit/epsilon": Value(amount("min", epsilon, ideal=0.0), self._epsilon),
            "one_run_audit/auc": Value(share("closer_to_ideal", auc, ideal=0.5), self._auc),
        }

    def _epsilon(self, ctx: EvalContext) -> MetricValue:
        canaries = self._scored(ctx)
        bound = one_run_bound(
            canaries.scores,
            canaries.included,
            shares=self.shares,
            two_sided=self.two_sided,
            delta=self.delta,
        )
        extras = {**bound._asdict(), **canaries.sizes, "delta": self.delta}
        del extras["epsilon"]
        return MetricValue(value=bound.epsilon, n=len(canaries.scores), extras=extras)

    def _auc(self, ctx: EvalContext) -> MetricValue:
        scores, included = self._scored(ctx)
        return attack_auc(scores[included], scores[~included])

    def _scored(self, ctx: EvalContext) -> "ScoredCanaries":
        if ctx.splits.scenario.get("kind") != "canary":
            raise NotComputableError("skipped", "needs_canary")
        ids = [ctx.ids(part) for part in ("forget", PROBE)]
        if min(map(len, ids)) < self.min_n:
            counts = (
                f"{len(ids[0])} canaries are in the training set and {len(ids[1])} out of it; "
                f"{self.min_n} of each are needed"
            )
            raise NotComputableError("degenerate", "too_few", counts)
        # By id, so that what breaks ties does not depend on the coins.
        order = torch.cat(ids).argsort()
        included = torch.arange(len(order)) < len(ids[0])
        return ScoredCanaries(self._scores(ctx)[order], included[order])

    def _scores(self, ctx: EvalContext) -> Tensor:
        """Return scores ``(m,)``, higher for canaries that rather were in: those in come first."""
        scores = _confidences(ctx, ctx.subject)
        if not self.calibrated or ctx.subject == "gold":
            return scores
        return scores - _confidences(ctx, "gold")


class ScoredCanaries(NamedTuple):
    """All canaries, by id.

    Args:
        scores: ``(m,)``, higher for those that rather were in.
        included: Which were in, ``(m,)`` bool.
    """

    scores: Tensor
    included: Tensor

    @property
    def sizes(self) -> dict[str, Any]:
        """How many there are on either side."""
        inside = int(self.included.sum().item())
        return {"canaries_in": inside, "canaries_out": len(self.included) - inside}


def _confidences(ctx: EvalContext, who: Who) -> Tensor:
    """Return logit-scaled confidences of canaries ``(m,)``, in and out, under a role.

    Unlike losses they do not end at 0, so that differences of sure predictions count too.
    """
    values = [
        phi(ctx.task_type, ctx.logits(part, who), ctx.targets(part)) for part in ("forget", PROBE)
    ]
    return torch.cat(values).clamp(-PHI_LIMIT, PHI_LIMIT)
