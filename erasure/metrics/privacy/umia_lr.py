"""Membership inference by a logistic regression on the loss, as unlearning papers report it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Values, share
from erasure.core.seeding import stream
from erasure.core.values import MetricValue
from erasure.evaluation.attacks.nonmembers import non_members
from erasure.evaluation.attacks.values import attack_auc_over_folds
from erasure.evaluation.signals import losses
from erasure.evaluation.statistics.cross_validation import resampled_interval
from erasure.training.logistic import fit_logistic, log_odds

FOLDS = 10
PROTOCOLS = ("kfold", "starting_kit")


@dataclass(frozen=True, kw_only=True)
class UMIALR:
    """Accuracy of a logistic regression that tells forgotten from unseen samples by their loss.

    Members are the forget set, non-members as in
    :func:`.non_members`; the larger side is cut down to the size of
    the smaller one by a draw of the evaluation seed. Two protocols:

    ``kfold`` (``umia_lr/accuracy``, ``umia_lr/auc``): ten folds, each sample scored once by a
    regression that has not seen it; losses are cut off at ``clip`` and standardized. The area is
    the mean of those within folds, see :func:`.auc_by_fold`.

    ``starting_kit`` (``umia_lr/starting_kit/accuracy``): as in the starting kit of the NeurIPS
    2023 competition, ten random splits with a tenth to test, split seed 0, raw losses; the mean of
    ten accuracies, with their standard deviation in the extras.

    Intervals are those of means over splits that share samples, see :func:`.resampled_interval`.

    Args:
        protocols: Which of the two, or both.
        clip: Where losses are cut off for ``kfold``.
        two_sided: For ``kfold`` add the distance of the loss from its median, which lets a
            linear rule see over-forgetting that lies on both sides of the unseen losses.
        min_n: Fewest samples per side for which a value is given, at least 10.

    References:
        E. Triantafillou et al., starting kit of the NeurIPS 2023 machine unlearning challenge;
        M. Kurmanji et al., "Towards Unbounded Machine Unlearning", NeurIPS 2023,
        arXiv:2302.09880.
    """

    protocols: Sequence[str] = PROTOCOLS
    clip: float = 100.0
    two_sided: bool = False
    min_n: int = FOLDS

    def __post_init__(self) -> None:
        names = list(self.protocols)
        if not names or not set(names) <= set(PROTOCOLS) or len(set(names)) < len(names):
            raise ConfigError(f"protocols must be distinct ones of {PROTOCOLS}, got {names}")
        if not self.clip > 0:
            raise ConfigError(f"clip must be > 0, got {self.clip}")
        if self.min_n < FOLDS:
            raise ConfigError(f"min_n must be >= {FOLDS}, got {self.min_n}")

    def values(self, parts: Parts) -> Values:
        attack = f"a logistic regression on the loss, forget against {parts.heldout} samples"
        texts: dict[str, str] = {}
        if "kfold" in self.protocols:
            texts["umia_lr/accuracy"] = f"Out-of-fold accuracy of {attack}."
            texts["umia_lr/auc"] = f"Out-of-fold area under the ROC curve of {attack}."
        if "starting_kit" in self.protocols:
            kit = f"Accuracy of {attack}, by the starting kit."
            texts["umia_lr/starting_kit/accuracy"] = kit
        meanings = {name: share("closer_to_gold", text, 0.5) for name, text in texts.items()}
        return Values(meanings, self._attack)

    def _attack(self, ctx: EvalContext) -> dict[str, MetricValue]:
        sides = balanced_losses(ctx, self.min_n)
        values: dict[str, MetricValue] = {}
        if "kfold" in self.protocols:
            values |= kfold_values(sides, clip=self.clip, two_sided=self.two_sided)
        if "starting_kit" in self.protocols:
            values["umia_lr/starting_kit/accuracy"] = starting_kit(sides)
        return values


class AttackSides(NamedTuple):
    """Losses ``(2m,)`` float64, and who is a member: the first half is not."""

    loss: Tensor
    member: Tensor

    @property
    def constant(self) -> bool:
        """Whether all losses are the same."""
        return bool((self.loss == self.loss[0]).all())


def balanced_losses(ctx: EvalContext, min_n: int) -> AttackSides:
    """Return as many losses of non-members as of members, each side in random order.

    Raises:
        NotComputableError: If a side has fewer than ``min_n`` samples.
    """
    chosen = non_members(ctx, min_n=min_n).chosen
    sides = (losses(ctx, ctx.heldout)[chosen], losses(ctx, "forget"))
    size = min(len(side) for side in sides)
    generator = stream(ctx.seed, "umia_lr")
    drawn = [side[torch.randperm(len(side), generator=generator)[:size]] for side in sides]
    return AttackSides(torch.cat(drawn), torch.arange(2 * size) >= size)


def kfold_values(
    sides: AttackSides, *, clip: float = 100.0, two_sided: bool = False
) -> dict[str, MetricValue]:
    """Return accuracy and AUC of the protocol ``kfold``, see :class:`UMIALR`."""
    scores, fold = _out_of_fold(sides, clip=clip, two_sided=two_sided)
    return {
        "umia_lr/accuracy": _accuracy(scores, fold, sides),
        "umia_lr/auc": attack_auc_over_folds(scores, sides.member, fold, FOLDS, {}),
    }


def _out_of_fold(sides: AttackSides, *, clip: float, two_sided: bool) -> tuple[Tensor, Tensor]:
    """Return each sample's log-odds out of fold ``(n,)``, and its fold."""
    loss = sides.loss.clamp(0.0, clip)
    features = loss.unsqueeze(-1)
    if two_sided:
        features = torch.stack([loss, (loss - loss.median()).abs()], dim=-1)
    deviation = features.std(dim=0)
    features = (features - features.mean(dim=0)) / deviation.where(deviation > 0, 1.0)
    # Both sides are in random order and equally long, so every fold is balanced.
    fold = (torch.arange(len(loss)) % (len(loss) // 2)) % FOLDS
    inside = F.one_hot(fold, FOLDS).T.bool()
    fitted = fit_logistic(features, sides.member, (~inside).double())
    return log_odds(features, fitted).gather(0, fold.unsqueeze(0)).squeeze(0), fold


def _accuracy(scores: Tensor, fold: Tensor, sides: AttackSides) -> MetricValue:
    right, n = (scores > 0) == sides.member, len(scores)
    tpr, tnr = (right[side].double().mean().item() for side in (sides.member, ~sides.member))
    by_fold = fold.bincount(right.double(), minlength=FOLDS) / fold.bincount(minlength=FOLDS)
    low, high = resampled_interval(by_fold, tested=1 / FOLDS, n=n)
    extras = {
        "tpr": tpr,
        "tnr": tnr,
        "n_members": n // 2,
        "n_non_members": n // 2,
        "advantage": tpr + tnr - 1,
        "fold_sd": by_fold.std().item(),
    }
    value = (tpr + tnr) / 2
    # Folds may differ by a sample a side, so that their mean is not quite the share of all.
    return MetricValue(
        value=value, ci_low=min(low, value), ci_high=max(high, value), n=n, extras=extras
    )


def starting_kit(sides: AttackSides) -> MetricValue:
    """Return the accuracy of the protocol ``starting_kit``, see :class:`UMIALR`."""
    from sklearn.model_selection import StratifiedShuffleSplit

    features, member = sides.loss.unsqueeze(-1), sides.member
    extras: dict[str, Any] = {"n_per_side": len(member) // 2, "constant_score": sides.constant}
    if sides.constant:  # uneven splits would put it below chance
        return MetricValue(value=0.5, n=len(member), extras=extras)
    # The published numbers are those of these splits: seed 0, whatever the seed of the evaluation.
    cuts = StratifiedShuffleSplit(n_splits=FOLDS, random_state=0).split(
        features.numpy(), member.numpy()
    )
    trained, tests = (
        torch.stack([torch.from_numpy(part) for part in parts])
        for parts in zip(*cuts, strict=True)
    )
    weights = torch.zeros(FOLDS, len(member), dtype=torch.float64).scatter(1, trained, 1.0)
    scores = log_odds(features, fit_logistic(features, member, weights))
    right = (scores.gather(1, tests) > 0) == member[tests]
    by_split = right.double().mean(dim=1)
    value = by_split.mean().item()
    low, high = resampled_interval(by_split, tested=1 / FOLDS, n=len(member))
    # As numpy has it: the starting kit divides by the number of splits, not by one less.
    extras["split_sd"] = by_split.std(correction=0).item()
    return MetricValue(value=value, ci_low=low, ci_high=high, n=len(member), extras=extras)
