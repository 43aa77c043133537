"""What is reported of an attack that scores members and non-members."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from erasure.core.metric import share
from erasure.core.values import Meaning, MetricValue
from erasure.evaluation.statistics.estimates import normal_interval, proportion
from erasure.evaluation.statistics.roc import (
    auc,
    best_balanced_accuracy,
    delong_error,
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
    return {
        f"{prefix}/auc": share(
            "closer_to_ideal", f"Area under the ROC curve of {attack}; 0.5 is chance.", ideal=0.5
        ),
        **{
            f"{prefix}/{name}": share(
                "closer_to_ideal",
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
    """Return the probability that a member outscores a non-member, with DeLong's interval."""
    # DeLong's error is 0 where an attack separates perfectly; `null_error` is noted beside it.
    value = auc(roc(members, nonmembers))
    low, high = normal_interval(value, delong_error(members, nonmembers), 0.0, 1.0)
    noted = {
        **_sizes(members, nonmembers),
        "distance_from_chance": abs(value - 0.5),
        "null_error": null_error(len(members), len(nonmembers)),
        **(extras or {}),
    }
    n = len(members) + len(nonmembers)
    return MetricValue(value=value, ci_low=low, ci_high=high, n=n, extras=noted)


def attack_tpr(
    members: Tensor, nonmembers: Tensor, fpr: float, extras: Mapping[str, Any] | None = None
) -> MetricValue:
    """Return the share of members caught while at most ``fpr`` of the non-members are accused.

    A constant score has no usable threshold; it counts as guessing, with a TPR equal to the FPR.
    """
    noted: dict[str, Any] = {**_sizes(members, nonmembers), **(extras or {})}
    noted["unreliable"] = fpr * len(nonmembers) < RELIABLE_ALARMS
    # Its only thresholds accuse nobody or everybody.
    if noted["constant_score"]:
        return MetricValue(value=fpr, n=len(members), extras=noted)
    return proportion(hits_at(roc(members, nonmembers), fpr), len(members), noted)


def attack_accuracy(members: Tensor, nonmembers: Tensor) -> MetricValue:
    """Return the balanced accuracy of the best threshold; members score at least as high."""
    value, threshold = best_balanced_accuracy(roc(members, nonmembers))
    extras = {**_sizes(members, nonmembers), "advantage": 2 * value - 1, "threshold": threshold}
    return MetricValue(value=value, n=len(members) + len(nonmembers), extras=extras)


def balanced_accuracy(
    tpr: float, tnr: float, n_pos: int, n_neg: int, extras: Mapping[str, Any] | None = None
) -> MetricValue:
    """Return the mean of both rates, with a normal interval of binomial errors.

    Args:
        tpr: Share of the ``n_pos`` members that were caught.
        tnr: Share of the ``n_neg`` non-members that were left alone.
        n_pos: Number of members.
        n_neg: Number of non-members.
        extras: What else to note.
    """
    value = (tpr + tnr) / 2
    # Both rates are binomial and independent; half of their sum has half the error of it.
    error = math.sqrt(tpr * (1 - tpr) / n_pos + tnr * (1 - tnr) / n_neg) / 2
    low, high = normal_interval(value, error, 0.0, 1.0)
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
