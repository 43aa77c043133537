"""The attack with many models apart for the samples that are memorized most and least."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Values
from erasure.core.references import ReferenceRole
from erasure.core.values import MetricValue, NotComputableError
from erasure.evaluation.attacks.likelihood_ratio import FEWEST
from erasure.evaluation.attacks.unlearning_attack import UnlearningAttack
from erasure.evaluation.reference_margins import (
    ReferenceMargins,
    halves,
    margins_of,
    reference_logits,
    reference_margins,
)
from erasure.evaluation.signals import PHI_LIMIT
from erasure.metrics.privacy.ulira import ulira_meanings

GROUPS = {
    "vulnerable": "forgotten samples that are memorized most",
    "protected": "forgotten samples that are memorized least",
}


@dataclass(frozen=True, kw_only=True)
class ULiRAByMemorization:
    """The attack of ``ulira``, apart for forgotten samples that are memorized most and least.

    A mean over the forget set hides who pays: most samples are predicted alike with and without
    having been trained on, and a method that leaves nothing of them may leave all of the few
    others. ``vulnerable`` are the samples of the highest memorization, by how many more originals
    than retrained models they are predicted right, and ``protected`` those of the lowest; ties
    are decided by how much their mean margin falls.

    Samples are ranked by one half of the models, every second one, and attacked with the other,
    so that nothing of what is found owes to the choice. A perfect unlearner gives an AUC of 0.5
    on either group, and so do the two halves of the retrained models of the attack, with which
    the retrained model is measured.

    Args:
        share: Share of the forget set that is in each group, in (0, 0.5].
        min_n: Fewest samples per group for which there are values, at least 2.

    Notes:
        Intervals are those of ``ulira``. Ranked and attacked by the same models, a perfect
        unlearner has an AUC of 0.503 to 0.509 on the vulnerable (simulated with 64 and 8 models
        and samples that differ by chance alone). The extra ``memorization`` is the mean of the
        group by the ranking models, which exaggerates for that reason.

        It takes no models but those of ``ulira``, at least 8 per role, and for the retrained
        model 16; half of them attack, so that intervals are wider. Per model measured it takes
        under a second beside them.

    References:
        V. Feldman, "Does learning require memorization? A short tale about a long tail", STOC
        2020, arXiv:1906.05271; M. Aerni, J. Zhang, F. Tramèr, "Evaluations of Machine Learning
        Privacy Defenses are Misleading", CCS 2024, arXiv:2404.17399; J. Hayes et al., "Inexact
        Unlearning Needs More Careful Evaluations to Avoid a False Sense of Privacy", SaTML 2025,
        arXiv:2403.01218.
    """

    needs_roles: ClassVar[tuple[ReferenceRole, ...]] = ("original", "unlearned", "gold")

    share: float = 0.25
    min_n: int = 10

    def __post_init__(self) -> None:
        if not 0 < self.share <= 0.5:
            raise ConfigError(f"share must be in (0, 0.5], got {self.share}")
        if self.min_n < 2:
            raise ConfigError(f"min_n must be >= 2, got {self.min_n}")

    def values(self, parts: Parts) -> Values:
        meanings = {
            f"ulira/{group}/{name}": meaning
            for group, samples in GROUPS.items()
            for name, meaning in ulira_meanings(
                f"the attack with many models on {samples}"
            ).items()
        }
        return Values(meanings, self._attack)

    def _attack(self, ctx: EvalContext) -> dict[str, MetricValue]:
        margins = _attacking(reference_margins(ctx, "forget")).compared(at_least=FEWEST)
        size = round(self.share * margins.samples)
        if size < self.min_n:
            raise NotComputableError("degenerate", "too_few")
        scores = _ranking(ctx)
        order = memorization_order(scores)
        values: dict[str, MetricValue] = {}
        for group, chosen in (("vulnerable", order[-size:]), ("protected", order[:size])):
            attack = UnlearningAttack(
                margins.subject[:, chosen], margins.gold[:, chosen], ctx.seed
            )
            extras = {"memorization": scores.memorization[chosen].mean().item()}
            values |= {
                f"ulira/{group}/{name}": value for name, value in attack.values(extras).items()
            }
        return values


class MemorizationRanks(NamedTuple):
    """What samples are ranked by.

    Args:
        memorization: How many more of the originals than of the retrained models are right,
            ``(n,)`` float64 in [-1, 1].
        fall: How much larger the mean margin is under originals, ``(n,)`` float64.
    """

    memorization: Tensor
    fall: Tensor


def memorization_order(ranking: MemorizationRanks) -> Tensor:
    """Return the samples ``(n,)`` from the least to the most memorized, ties by their margin."""
    return torch.from_numpy(np.lexsort((ranking.fall.numpy(), ranking.memorization.numpy())))


def _ranking(ctx: EvalContext) -> MemorizationRanks:
    """Return the scores of the forget set under every second original and retrained model."""
    targets = ctx.targets("forget")
    right, margins = [], []
    roles: tuple[ReferenceRole, ...] = ("original", "gold")
    for role in roles:
        logits, _ = halves(reference_logits(ctx, role, "forget"))
        confidences, _ = halves(margins_of(ctx, role, "forget"))
        right.append(ctx.task_type.correct(logits, targets).double().mean(dim=0))
        margins.append(confidences.clamp(-PHI_LIMIT, PHI_LIMIT).mean(dim=0))
    return MemorizationRanks(right[0] - right[1], margins[0] - margins[1])


def _attacking(margins: ReferenceMargins) -> ReferenceMargins:
    """Return the margins of those models by which nothing was ranked."""
    subject = None if margins.subject is None else halves(margins.subject)[1]
    return ReferenceMargins(subject, halves(margins.gold)[1])
