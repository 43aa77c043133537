"""Membership inference by the loss."""

from dataclasses import dataclass, replace

from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Values, share
from erasure.core.values import MetricValue
from erasure.evaluation.attacks.nonmembers import attack_losses
from erasure.evaluation.attacks.values import LOW_FPR, attack_accuracy, attack_auc, attack_tpr


@dataclass(frozen=True, kw_only=True)
class LossMIA:
    """How well the loss alone tells forgotten samples from unseen ones.

    Members are the forget set, non-members the held-out samples of the forgotten population or
    classes, see :func:`.non_members`. A low loss means member.
    Chance is an AUC of 0.5, and the target is the AUC of the retrained model; an AUC below it
    means over-forgetting and is not folded back above 0.5.

    This is a population attack with one threshold for all samples: it understates what an
    attacker with reference models finds.

    Args:
        min_n: Fewest samples per side for which a value is given, at least 2.

    Notes:
        A constant loss has no usable threshold; it counts as guessing, with a TPR equal to the
        FPR of the threshold, and is flagged ``constant_score``.

    References:
        S. Yeom et al., "Privacy Risk in Machine Learning: Analyzing the Connection to
        Overfitting", CSF 2018, arXiv:1709.01604.
    """

    min_n: int = 10

    def __post_init__(self) -> None:
        if self.min_n < 2:
            raise ConfigError(f"min_n must be >= 2, got {self.min_n}")

    def values(self, parts: Parts) -> Values:
        attack = f"the loss attack, forget against {parts.heldout} samples of the same classes"
        auc = f"Area under the ROC curve of {attack}; 0.5 is chance."
        tpr = f"Share of the forget set caught at a false-positive rate of 1 % by {attack}."
        accuracy = f"Mean of TPR and TNR at the best threshold of {attack}; at least 0.5."
        meanings = {
            "mia/loss/auc": share("closer_to_gold", auc, 0.5),
            "mia/loss/tpr_at_1_fpr": share("closer_to_gold", tpr, LOW_FPR),
            "mia/loss/balanced_accuracy": share("closer_to_gold", accuracy),
        }
        return Values(meanings, self._attack)

    def _attack(self, ctx: EvalContext) -> dict[str, MetricValue]:
        members, nonmembers = attack_losses(ctx, ctx.subject, min_n=self.min_n)
        return {
            "mia/loss/auc": attack_auc(-members, -nonmembers),
            "mia/loss/tpr_at_1_fpr": attack_tpr(-members, -nonmembers, LOW_FPR),
            "mia/loss/balanced_accuracy": _accuracy(members, nonmembers),
        }


def _accuracy(members: Tensor, nonmembers: Tensor) -> MetricValue:
    accuracy = attack_accuracy(-members, -nonmembers)
    # The attack scores by minus the loss; its threshold is shown as a loss.
    extras = {**accuracy.extras, "threshold": -accuracy.extras["threshold"]}
    return replace(accuracy, extras=extras)
