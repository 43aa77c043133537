"""What is reported of an attack that scores members and non-members."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from erasure.core.metric import share
from erasure.core.values import Meaning, MetricValue
from erasure.evaluation.statistics.cross_validation import auc_by_fold, resampled_interval
from erasure.evaluation.statistics.estimates import rates_interval
from erasure.evaluation.statistics.low_fpr import null_rate, tpr_interval
from erasure.evaluation.statistics.roc import (
    auc,
    auc_interval,
    best_balanced_accuracy,
    hits_at,
    null_error,
    roc,
)

LOW_FPR = 0.01
"""False-positive rate of ``mia/loss/tpr_at_1_fpr``."""

LOW_FPRS: Mapping[str, float] = {"tpr_at_1_fpr": 0.01, "tpr_at_0.1_fpr": 0.001}
"""False-positive rates at which true-positive rates are reported, by the end of the name."""

RELIABLE_ALARMS = 10
"""With fewer false positives than this allowed, the rate is too coarse to rely on."""


def attack_meanings(prefix: str, attack: str) -> dict[str, Meaning]:
    """Return the meaning of the names of :func:`attack_values`.

    Args:
        prefix: What the names begin with, such as ``rmia``.
        attack: What the attack is, to be read after "of".
    """
    area = f"Area under the ROC curve of {attack}; 0.5 is chance."
    return {
        f"{prefix}/auc": share("closer_to_gold", area, ideal=0.5),
        **{
            f"{prefix}/{name}": share(
                "closer_to_gold",
                f"Share of the forget set caught at a false-positive rate of {100 * fpr:g} % "
                f"by {attack}.",
                ideal=fpr,
            )
            for name, fpr in LOW_FPRS.items()
        },
    }


def attack_values(
    prefix: str, members: Tensor, nonmembers: Tensor, extras: Mapping[str, Any]
) -> dict[str, MetricValue]:
    """Return AUC and true-positive rates at low false-positive rates of an attack.

    Args:
        prefix: What the names begin with.
        members: Scores ``(n,)``, higher for a likely member.
        nonmembers: Scores of non-members ``(m,)``.
        extras: What else to note beside each value.
    """
    rates = {
        f"{prefix}/{name}": attack_tpr(members, nonmembers, fpr, extras)
        for name, fpr in LOW_FPRS.items()
    }
    return {f"{prefix}/auc": attack_auc(members, nonmembers, extras), **rates}


def attack_auc(
    members: Tensor, nonmembers: Tensor, extras: Mapping[str, Any] | None = None
) -> MetricValue:
    """Return the probability that a member outscores a non-member, see :func:`.auc_interval`."""
    value = auc(roc(members, nonmembers))
    low, high = auc_interval(members, nonmembers)
    noted = {
        **_sizes(members, nonmembers),
        "distance_from_chance": abs(value - 0.5),
        "null_error": null_error(len(members), len(nonmembers)),
        **(extras or {}),
    }
    n = len(members) + len(nonmembers)
    return MetricValue(value=value, ci_low=low, ci_high=high, n=n, extras=noted)


def attack_auc_over_folds(
    scores: Tensor, member: Tensor, fold: Tensor, folds: int, extras: Mapping[str, Any]
) -> MetricValue:
    """Return the mean AUC within folds of an attack that was fitted without each.

    Its interval is that of folds whose attacks share samples, see :func:`.resampled_interval`.

    Args:
        scores: Out-of-fold scores ``(n,)``, higher for a likely member.
        member: ``(n,)`` bool.
        fold: ``(n,)`` int64; each has samples of both sides.
        folds: How many there are.
        extras: What else to note.
    """
    by_fold = auc_by_fold(scores, member, fold, folds)
    value = by_fold.mean().item()
    low, high = resampled_interval(by_fold, tested=1 / folds, n=len(scores))
    noted = {
        **_sizes(scores[member], scores[~member]),
        "distance_from_chance": abs(value - 0.5),
        "fold_sd": by_fold.std().item(),
        **extras,
    }
    return MetricValue(value=value, ci_low=low, ci_high=high, n=len(scores), extras=noted)


def attack_tpr(
    members: Tensor, nonmembers: Tensor, fpr: float, extras: Mapping[str, Any] | None = None
) -> MetricValue:
    """Return the share of members caught while at most ``fpr`` of the non-members are accused.

    Its interval counts that the threshold is estimated too, see :func:`.tpr_interval`. It is for
    the false-positive rate that the threshold has on average, which is the ideal as well, see
    :func:`.null_rate`. A constant score has no usable threshold; it counts as guessing and has
    that rate as its value.
    """
    noted: dict[str, Any] = {**_sizes(members, nonmembers), **(extras or {})}
    noted["unreliable"] = fpr * len(nonmembers) < RELIABLE_ALARMS
    null, n = null_rate(fpr, len(nonmembers)), len(members)
    # Its only thresholds accuse nobody or everybody.
    if noted["constant_score"]:
        return MetricValue(value=null, n=n, ideal=null, extras=noted)
    value = hits_at(roc(members, nonmembers), fpr) / n
    ends = tpr_interval(members, nonmembers, fpr)
    low, high = min(ends[0], value), max(ends[1], value)
    return MetricValue(value=value, ci_low=low, ci_high=high, n=n, ideal=null, extras=noted)


def attack_accuracy(members: Tensor, nonmembers: Tensor) -> MetricValue:
    """Return the balanced accuracy of the best threshold; members score at least as high."""
    value, threshold = best_balanced_accuracy(roc(members, nonmembers))
    extras = {**_sizes(members, nonmembers), "advantage": 2 * value - 1, "threshold": threshold}
    return MetricValue(value=value, n=len(members) + len(nonmembers), extras=extras)


def balanced_accuracy(
    tpr: float, tnr: float, n_pos: int, n_neg: int, extras: Mapping[str, Any] | None = None
) -> MetricValue:
    """Return the mean of both rates, with the interval of :func:`.rates_interval`.

    Args:
        tpr: Share of the ``n_pos`` members that were caught.
        tnr: Share of the ``n_neg`` non-members that were left alone.
        n_pos: Number of members.
        n_neg: Number of non-members.
        extras: What else to note.
    """
    value = (tpr + tnr) / 2
    low, high = rates_interval(torch.tensor([tpr, tnr]), torch.tensor([n_pos, n_neg]))
    noted = {
        "tpr": tpr,
        "tnr": tnr,
        "n_members": n_pos,
        "n_non_members": n_neg,
        "advantage": tpr + tnr - 1,
        **(extras or {}),
    }
    return MetricValue(value=value, ci_low=low, ci_high=high, n=n_pos + n_neg, extras=noted)


def _sizes(members: Tensor, nonmembers: Tensor) -> dict[str, Any]:
    everyone = torch.cat([members, nonmembers])
    return {
        "n_members": len(members),
        "n_non_members": len(nonmembers),
        "constant_score": bool((everyone == everyone[0]).all()),
    }
