"""Membership inference by thresholds per class, chosen on one half and used on the other."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from torch import Generator, Tensor

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Values, share
from erasure.core.seeding import branch, stream
from erasure.core.values import MetricValue, NotComputableError
from erasure.evaluation.attacks.nonmembers import non_members
from erasure.evaluation.attacks.values import balanced_accuracy
from erasure.evaluation.signals import MemberSignal, member_score, require_multiclass
from erasure.evaluation.statistics.estimates import rates_interval

SIGNALS: tuple[MemberSignal, ...] = get_args(MemberSignal)


@dataclass(frozen=True, kw_only=True)
class MIAThreshold:
    """How well one threshold per class and signal tells members from non-members.

    The signals are correctness, which has no threshold, confidence, negative entropy, and
    negative modified entropy. Both sides are split into halves; the thresholds that are best on
    one half are used on the other, and the other way round. A class with fewer than
    ``min_per_class`` samples on a side of a half takes the threshold of all classes.

    Args:
        members: Whose membership is attacked. ``forget``, against the held-out samples that
            :func:`.non_members` chooses: has it been forgotten?
            ``retain``, against all of them: how private is training? Its names begin with
            ``mia_threshold/retain/``.
        repetitions: How often the halves are drawn; the rates are means.
        min_per_class: Fewest samples on each side for a threshold of a class's own.
        min_n: Fewest samples per side for which a value is given, at least 4.

    Notes:
        The intervals are those of one repetition: repeating removes the noise of the split, not
        that of the samples. A constant signal gives 0.5.

    References:
        L. Song and P. Mittal, "Systematic Evaluation of Privacy Risks of Machine Learning
        Models", USENIX Security 2021, arXiv:2003.10595. Halves and repetitions as in S. Goel et
        al., "Towards Adversarial Evaluations for Inexact Machine Unlearning", 2022,
        arXiv:2201.06640.
    """

    members: Literal["forget", "retain"] = "forget"
    repetitions: int = 10
    min_per_class: int = 10
    min_n: int = 10

    def __post_init__(self) -> None:
        if self.members not in ("forget", "retain"):
            raise ConfigError(f"members must be forget or retain, got {self.members!r}")
        for name, least in (("repetitions", 1), ("min_per_class", 1), ("min_n", 4)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be >= {least}, got {getattr(self, name)}")

    def values(self, parts: Parts) -> Values:
        attack = f"the per-class threshold attack, {self.members} against {parts.heldout} samples"
        texts = {
            "balanced_accuracy": "Mean of TPR and TNR of",
            "tpr": "Share of members found by",
            "tnr": "Share of non-members left alone by",
        }
        meanings = {
            f"{self._prefix}/{signal}/{rate}": share(
                "closer_to_gold", f"{text} {attack}, on {signal.replace('_', ' ')}."
            )
            for signal in SIGNALS
            for rate, text in texts.items()
        }
        return Values(meanings, self._attack)

    def _attack(self, ctx: EvalContext) -> dict[str, MetricValue]:
        require_multiclass(ctx)
        heldout = ctx.targets(ctx.heldout)
        chosen = torch.ones(len(heldout), dtype=torch.bool)
        if self.members == "forget":
            chosen = non_members(ctx, min_n=self.min_n).chosen
        classes = torch.cat([ctx.targets(self.members), heldout[chosen]])
        num_members = len(classes) - int(chosen.sum().item())
        member = torch.arange(len(classes)) < num_members
        if min(num_members, len(classes) - num_members) < self.min_n:
            held_out = len(classes) - num_members
            counts = (
                f"{self.members} has {num_members} samples, {ctx.heldout} {held_out}; "
                f"{self.min_n} of each are needed"
            )
            raise NotComputableError("degenerate", "too_few", counts)
        values: dict[str, MetricValue] = {}
        for signal in SIGNALS:
            sides = (
                member_score(ctx, self.members, signal),
                member_score(ctx, ctx.heldout, signal)[chosen],
            )
            sample = Sample(torch.cat(sides), member, classes)
            rates = self._rates(sample, stream(ctx.seed, "mia_threshold", self.members), signal)
            values |= _values(f"{self._prefix}/{signal}", *rates, sample)
        return values

    @property
    def _prefix(self) -> str:
        return "mia_threshold/retain" if self.members == "retain" else "mia_threshold"

    def _rates(
        self, sample: "Sample", generator: Generator, signal: MemberSignal
    ) -> tuple[float, float]:
        """Return TPR and TNR, each a mean over the repetitions."""
        if signal == "correctness":
            return _true_rates(sample, sample.scores > 0.5)
        repeated = [
            _true_rates(sample, self._accused(sample, branch(generator, str(number))))
            for number in range(self.repetitions)
        ]
        tpr, tnr = torch.tensor(repeated, dtype=torch.float64).mean(dim=0).tolist()
        return tpr, tnr

    def _accused(self, sample: "Sample", generator: Generator) -> Tensor:
        """Return who is called a member, each by the threshold of the half it is not in."""
        size = int(sample.classes.max().item()) + 1
        # Each class has its share of members in both halves: a stratum is a class and a side.
        half = _halves(2 * sample.classes + sample.member, generator)
        # Groups are numbered half * size + class; entry h of all classes serves size of them.
        by_class = best_thresholds(sample, half * size + sample.classes, 2 * size)
        all_classes = best_thresholds(sample, half, 2)
        enough = by_class.smaller_side >= self.min_per_class
        values = by_class.values.where(enough, all_classes.values.repeat_interleave(size))
        return sample.scores >= values[(1 - half) * size + sample.classes]


class Sample(NamedTuple):
    """Scores ``(n,)``, who is a member ``(n,)`` bool, and classes ``(n,)`` int64."""

    scores: Tensor
    member: Tensor
    classes: Tensor


class Thresholds(NamedTuple):
    """Thresholds ``(G,)``, and how many samples the smaller side of each group had."""

    values: Tensor
    smaller_side: Tensor


def best_thresholds(sample: Sample, groups: Tensor, num_groups: int) -> Thresholds:
    """Return for each group the score from which on to accuse, best by balanced accuracy.

    One sort for all groups, O(n log n). Of several best thresholds it is the strictest; where
    accusing does not help, or a side is empty, it is infinity, which accuses nobody.

    Args:
        sample: Scores ``(n,)`` and who is a member.
        groups: Group of each sample, ``(n,)`` in ``[0, num_groups)``.
        num_groups: Number of groups.
    """
    # By group, and within a group by falling score: the second sort keeps the order of the first.
    order = sample.scores.argsort(descending=True)
    order = order[groups[order].argsort(stable=True)]
    scores, member, group = sample.scores[order], sample.member[order], groups[order]
    members, nonmembers = (
        groups[side].bincount(minlength=num_groups) for side in (sample.member, ~sample.member)
    )
    hits, alarms = _so_far(member, group, members), _so_far(~member, group, nonmembers)
    # TPR - FPR times the product of both sizes: whole numbers compare exactly.
    gain = hits * nonmembers[group] - alarms * members[group]
    # Equal scores are accused together: only the last of them is a place to cut.
    last = torch.ones_like(member)
    last[:-1] = (scores[1:] != scores[:-1]) | (group[1:] != group[:-1])
    gain = gain.where(last, -1)
    best = gain.new_zeros(num_groups).scatter_reduce(0, group, gain, "amax")
    # The index len(gain) stands for "accuse nobody", and picks the infinity at the end.
    is_best = (gain == best[group]) & (gain > 0)
    candidate = torch.arange(len(gain)).where(is_best, len(gain))
    strictest = torch.full((num_groups,), len(gain)).scatter_reduce(0, group, candidate, "amin")
    values = torch.cat([scores, scores.new_tensor([torch.inf])])[strictest]
    return Thresholds(values, torch.minimum(members, nonmembers))


def _so_far(side: Tensor, group: Tensor, totals: Tensor) -> Tensor:
    """Return how many of a side of each sample's group come no later than the sample, ``(n,)``."""
    before = totals.cumsum(0) - totals
    return side.cumsum(0) - before[group]


def _halves(strata: Tensor, generator: Generator) -> Tensor:
    """Return 0 or 1 per sample; each stratum is divided as evenly as it can be."""
    order = torch.randperm(len(strata), generator=generator)
    order = order[strata[order].argsort(stable=True)]
    half = torch.empty_like(strata)
    half[order] = torch.arange(len(strata)) % 2
    return half


def _true_rates(sample: Sample, accused: Tensor) -> tuple[float, float]:
    member = sample.member
    return accused[member].double().mean().item(), (~accused[~member]).double().mean().item()


def _values(prefix: str, tpr: float, tnr: float, sample: Sample) -> dict[str, MetricValue]:
    n_pos = int(sample.member.sum().item())
    n_neg = len(sample.member) - n_pos
    extras = {"constant_score": bool((sample.scores == sample.scores[0]).all())}
    values = {f"{prefix}/balanced_accuracy": balanced_accuracy(tpr, tnr, n_pos, n_neg, extras)}
    for name, rate, n in (("tpr", tpr, n_pos), ("tnr", tnr, n_neg)):
        # A mean over repetitions is no count, which Wilson's interval does not ask for.
        low, high = rates_interval(torch.tensor([rate]), torch.tensor([n]))
        values[f"{prefix}/{name}"] = MetricValue(
            value=rate, ci_low=low, ci_high=high, n=n, extras=extras
        )
    return values
