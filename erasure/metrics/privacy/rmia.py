"""Membership inference relative to reference models and to a population."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Values
from erasure.core.seeding import stream
from erasure.core.values import MetricValue, NotComputableError
from erasure.evaluation.attacks.nonmembers import non_members
from erasure.evaluation.attacks.reference_models import (
    Mode,
    ReferenceLogits,
    Role,
    check_references,
    reference_models,
)
from erasure.evaluation.attacks.values import attack_meanings, attack_values
from erasure.evaluation.signals import losses
from erasure.evaluation.statistics.roc import auc, roc

FLOOR = 1e-12
"""Smallest probability by which is divided."""

GRID = tuple(number / 10 for number in range(11))
"""Values of ``a`` that are tried when it is tuned."""

TUNED_ON = 4
"""Most shadows that are attacked to tune ``a``."""


@dataclass(frozen=True, kw_only=True)
class RMIA:
    """How often a sample is more likely under the model, relative to others, than the population.

    ``ratio(x)`` is the probability of the true label of ``x`` under the model over its mean
    under reference models; the score of ``x`` is the share of population samples ``z`` with
    ``ratio(x) / ratio(z) >= gamma``. It needs few reference models: a single retrained one will
    do.

    The population must be disjoint from the non-members that are tested, of the same kind, and
    from the held-out part that this evaluation may look at. So the non-members of
    :func:`.non_members` are divided in two by the evaluation seed;
    each half is scored with the other as the population, a forget sample with both, of which it
    has the mean.

    Args:
        references: ``gold`` takes the retrained models, which saw neither side; the retrained
            model of a trial cannot be attacked with itself. ``shadow`` takes, for each sample,
            the shadow models that were not trained on it.
        mode: ``offline`` estimates the mean from models that did not see the sample;
            ``online`` from as many that did, which only shadows offer.
        gamma: How much more likely, at least 1.
        a: Correction of the offline mean, ``((1 + a) mean_out + 1 - a) / 2``. None tunes it on
            a grid by attacking shadow models, for ``references=shadow``.
        min_population: Fewest population samples for which a value is given.
        min_n: Fewest forget samples for which a value is given, at least 2.

    References:
        S. Zarifzadeh et al., "Low-Cost High-Power Membership Inference Attacks", ICML 2024,
        arXiv:2312.03262.
    """

    references: Role = "gold"
    mode: Mode = "offline"
    gamma: float = 1.0
    a: float | None = 0.3
    min_population: int = 100
    min_n: int = 10

    def __post_init__(self) -> None:
        check_references(self.references, self.mode)
        if not self.gamma >= 1:
            raise ConfigError(f"gamma must be >= 1, got {self.gamma}")
        if self.a is None and self.references == "gold":
            raise ConfigError("a must be a number for references=gold; shadows are needed to tune")
        if self.a is not None and not 0 <= self.a <= 1:
            raise ConfigError(f"a must be in [0, 1] or null, got {self.a}")
        for name in ("min_population", "min_n"):
            if getattr(self, name) < 2:
                raise ConfigError(f"{name} must be >= 2, got {getattr(self, name)}")

    @property
    def needs_roles(self) -> tuple[str, ...]:
        """The reference models it cannot do without; one retrained model will do for ``gold``."""
        return ("shadow",) if self.references == "shadow" else ()

    def values(self, parts: Parts) -> Values:
        attack = f"RMIA, forget against {parts.heldout} samples of the same kind"
        return Values(attack_meanings("rmia", attack), self._attack)

    def _attack(self, ctx: EvalContext) -> dict[str, MetricValue]:
        nonmembers = non_members(ctx, min_n=self.min_n)
        # One half of the non-members is the population by which the other is tested.
        if len(nonmembers) // 2 < self.min_population:
            raise NotComputableError("degenerate", "small_population")
        models = reference_models(ctx, self.references, nonmembers)
        # exp(-loss) is the probability of the label; of several, the geometric mean of theirs.
        reference = models.losses(ctx.task_type).neg().exp()
        sides = (losses(ctx, "forget"), losses(ctx, ctx.heldout)[nonmembers.chosen])
        likelihood = torch.cat(sides).neg().exp()
        a = _tuned(reference, models) if self.a is None else self.a
        if self.mode == "online":
            prior = online_prior(*(_mean(reference, side) for side in (models.seen, ~models.seen)))
        else:
            prior = offline_prior(_mean(reference, ~models.seen), a)
        ratio = likelihood / prior.clamp_min(FLOOR)
        scores = _crossed(ratio[: models.num_forget], ratio[models.num_forget :], self.gamma, ctx)
        extras = {"a": a, "gamma": self.gamma, "references": len(models.logits)}
        return attack_values("rmia", *scores, extras)


def dominated_share(ratio_x: Tensor, ratio_z: Tensor, gamma: float) -> Tensor:
    """Return for each ``x`` the share of ``z`` with ``ratio(x) / ratio(z) >= gamma``.

    Args:
        ratio_x: ``(n,)``.
        ratio_z: ``(m,)``, positive.
        gamma: How much more likely.

    Returns:
        ``(n,)`` float64, in O((n + m) log m).
    """
    # ratio(x) / ratio(z) >= gamma where ratio(z) <= ratio(x) / gamma: a count in a sorted list.
    ranked = ratio_z.double().sort().values
    return torch.searchsorted(ranked, ratio_x.double() / gamma, right=True).double() / len(ranked)


def offline_prior(mean_out: Tensor, a: float) -> Tensor:
    """Return the mean probability ``(n,)`` over models in and out, from those out alone."""
    return ((1 + a) * mean_out + (1 - a)) / 2


def online_prior(mean_in: Tensor, mean_out: Tensor) -> Tensor:
    """Return the mean probability ``(n,)`` over as many models in as out."""
    return (mean_in + mean_out) / 2


class _Scores(NamedTuple):
    members: Tensor
    nonmembers: Tensor


def _crossed(members: Tensor, nonmembers: Tensor, gamma: float, ctx: EvalContext) -> _Scores:
    """Return the scores of both sides, by ratios: each half of non-members tests the other."""
    order = torch.randperm(len(nonmembers), generator=stream(ctx.seed, "rmia"))
    halves = order.tensor_split(2)
    scores = torch.empty_like(nonmembers)
    for tested, population in (halves, halves[::-1]):
        scores[tested] = dominated_share(nonmembers[tested], nonmembers[population], gamma)
    by_half = [dominated_share(members, nonmembers[half], gamma) for half in halves]
    return _Scores(torch.stack(by_half).mean(dim=0), scores)


def _mean(reference: Tensor, side: Tensor) -> Tensor:
    """Return the mean ``(n,)`` of reference probabilities ``(N, n)`` over the models of a side."""
    counts = side.sum(dim=0)
    if not bool((counts > 0).all()):
        raise NotComputableError("skipped", "missing_reference")
    return (reference * side).sum(dim=0) / counts


def _tuned(reference: Tensor, models: ReferenceLogits) -> float:
    """Return the ``a`` by which shadows are attacked best, by those that are left."""
    gains = torch.zeros(len(GRID), dtype=torch.float64)
    for number in range(min(TUNED_ON, len(reference))):
        rest = torch.arange(len(reference)) != number
        mean_out = _mean(reference[rest], ~models.seen[rest])
        seen = models.seen[number]
        for index, a in enumerate(GRID):
            # For this comparison the population plays no part: scores rise with the ratio.
            ratio = reference[number] / offline_prior(mean_out, a).clamp_min(FLOOR)
            gains[index] += auc(roc(ratio[seen], ratio[~seen]))
    return GRID[int(gains.argmax().item())]
