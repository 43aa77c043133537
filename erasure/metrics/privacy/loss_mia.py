"""Membership inference by the loss."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.values import Meaning, MetricValue, NotComputableError, missing
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
        FPR, and is flagged ``constant_score``.

    References:
        S. Yeom et al., "Privacy Risk in Machine Learning: Analyzing the Connection to
        Overfitting", CSF 2018, arXiv:1709.01604.
    """

    min_n: int = 10

    def __post_init__(self) -> None:
        if self.min_n < 2:
            raise ConfigError(f"min_n must be >= 2, got {self.min_n}")

    def schema(self, heldout: str) -> Mapping[str, Meaning]:
        attack = f"the loss attack, forget against {heldout} samples of the same classes"
        return {
            "mia/loss/auc": _schema(f"Area under the ROC curve of {attack}; 0.5 is chance."),
            "mia/loss/tpr_at_1_fpr": _schema(
                f"Share of the forget set caught at a false-positive rate of 1 % by {attack}."
            ),
            "mia/loss/balanced_accuracy": _schema(
                f"Mean of TPR and TNR at the best threshold of {attack}; at least 0.5."
            ),
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        try:
            members, others = attack_losses(ctx, ctx.subject, min_n=self.min_n)
        except NotComputableError as error:
            reason = missing(error.status, error.reason)
            return dict.fromkeys(self.schema(ctx.heldout), reason)
        return {
            "mia/loss/auc": attack_auc(-members, -others),
            "mia/loss/tpr_at_1_fpr": attack_tpr(-members, -others, LOW_FPR),
            "mia/loss/balanced_accuracy": _accuracy(members, others),
        }


def _schema(description: str) -> Meaning:
    return Meaning(direction="closer_to_gold", low=0.0, high=1.0, description=description)


def _accuracy(members: Tensor, others: Tensor) -> MetricValue:
    found = attack_accuracy(-members, -others)
    return replace(found, extras={**found.extras, "threshold": -found.extras["threshold"]})
