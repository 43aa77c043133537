"""Membership inference by a logistic regression on the entropy of predictions."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Values, share
from erasure.core.seeding import stream
from erasure.core.values import MetricValue, NotComputableError
from erasure.evaluation.attacks.nonmembers import non_members
from erasure.evaluation.attacks.values import attack_auc
from erasure.evaluation.signals import entropies
from erasure.evaluation.statistics.estimates import proportion
from erasure.training.logistic import fit_logistic, log_odds

FOLDS = 5
"""Folds of the estimate of the attack's own quality."""


@dataclass(frozen=True, kw_only=True)
class MIAEntropyLR:
    """How many forget samples an attack on the entropy takes for members.

    A logistic regression with balanced class weights learns to tell retain samples from held-out
    ones by the entropy of their predictions; ``member_rate`` is the share of the forget set that
    it takes for members. It has no anchor at chance and means something beside the retrained
    model only. As a single cut decides, it is unstable when the attack is poor: the extras hold
    the attack's own balanced accuracy, out of fold, and ``auc`` is the stable companion. It asks
    without any training how well a low entropy tells the forget set from non-members.

    Args:
        min_n: Fewest samples per side for which a value is given, at least 5.

    References:
        V. Chundawat et al., "Can Bad Teaching Induce Forgetting?", AAAI 2023, arXiv:2205.08096,
        with the regression of J. Foster et al., "Fast Machine Unlearning Without Retraining
        Through Selective Synaptic Dampening", AAAI 2024, arXiv:2308.07707.
    """

    min_n: int = 10

    def __post_init__(self) -> None:
        if self.min_n < FOLDS:
            raise ConfigError(f"min_n must be >= {FOLDS}, got {self.min_n}")

    def values(self, parts: Parts) -> Values:
        rate = (
            "Share of the forget set that an attack on entropy, trained on retain against "
            f"{parts.heldout} samples, takes for members."
        )
        auc = (
            f"Area under the ROC curve of low entropy, forget against {parts.heldout} samples of "
            "the same kind; 0.5 is chance."
        )
        meanings = {
            "mia_entropy_lr/member_rate": share("closer_to_gold", rate),
            "mia_entropy_lr/auc": share("closer_to_gold", auc),
        }
        return Values(meanings, self._attack)

    def _attack(self, ctx: EvalContext) -> dict[str, MetricValue]:
        chosen = non_members(ctx, min_n=self.min_n).chosen
        forget, retain, heldout = (entropies(ctx, part) for part in ctx.parts)
        if len(retain) < self.min_n:
            counts = f"retain has {len(retain)} samples; {self.min_n} are needed"
            raise NotComputableError("degenerate", "too_few", counts)
        generator = stream(ctx.seed, "mia_entropy_lr")
        fold = torch.cat(
            [torch.randperm(len(side), generator=generator) % FOLDS for side in (retain, heldout)]
        )
        return {
            "mia_entropy_lr/member_rate": _member_rate(forget, retain, heldout, fold),
            "mia_entropy_lr/auc": attack_auc(-forget, -heldout[chosen]),
        }


def _member_rate(forget: Tensor, retain: Tensor, heldout: Tensor, fold: Tensor) -> MetricValue:
    features = torch.cat([retain, heldout]).unsqueeze(-1)
    member = torch.arange(len(features)) < len(retain)
    # The attack, row 0, is trained on everything; row k + 1, without fold k, tells how good it is.
    used = torch.cat([torch.ones(1, len(fold)), 1.0 - F.one_hot(fold, FOLDS).T]).double()
    # Balanced weights as in scikit-learn: samples over twice the samples of the side.
    sides = torch.stack([(used * ~member).sum(dim=1), (used * member).sum(dim=1)], dim=1)
    balance = used.sum(dim=1, keepdim=True) / (2 * sides)
    fitted = fit_logistic(features, member, used * balance[:, member.long()])
    out_of_fold = log_odds(features, fitted[1:]).gather(0, fold.unsqueeze(0)).squeeze(0)
    right = (out_of_fold > 0) == member
    quality = (right[member].double().mean() + right[~member].double().mean()).item() / 2
    hits = int((log_odds(forget.unsqueeze(-1), fitted[:1]) > 0).sum().item())
    return proportion(hits, len(forget), {"attack_balanced_accuracy": quality})
