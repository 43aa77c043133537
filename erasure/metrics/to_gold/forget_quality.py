"""Forgetting quality and final score of the NeurIPS 2023 unlearning challenge."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Values, amount, share
from erasure.core.references import ReferenceRole
from erasure.core.values import Direction, Meaning, MetricValue, NotComputableError
from erasure.evaluation.attacks.epsilon import CAP, Rules, best_rules, epsilon_of
from erasure.evaluation.measure import measure_value
from erasure.evaluation.reference_margins import (
    MarginPair,
    ReferenceMargins,
    halves,
    reference_logits,
    reference_margins,
)

BIN = 0.5
"""Width of a bin of epsilon; each halves what a sample contributes."""

BINS = 13
"""Number of bins; a sample beyond them contributes nothing."""


@dataclass(frozen=True, kw_only=True)
class ForgetQuality:
    """How private forgetting is, and what is left of the utility, by many models.

    For every forgotten sample the best rule of a family tells unlearned from retrained models;
    its epsilon, in bins of 0.5, gives ``2 / 2^bin``, and ``f`` is the mean. Even equal models are
    far from 1, about 0.2, because a rule is found that happens to fit, and how far depends on the
    number of models. All values therefore compare halves of the models, and the value for the
    retrained model compares its two halves: it is the null, by as many models, and ``f_rel`` is
    the quotient by it: 1 is indistinguishable. ``f_holdout`` chooses the rule on one half of
    those and takes its rates, each with half an error of either kind added, from the other half.
    ``epsilon`` is the mean behind ``f``, and ``score`` is ``f`` times the accuracies kept. What
    all models give, as the competition has it, is in the extras of ``f`` as ``all_models``; it is
    not comparable with the null.

    Args:
        eps_ci: Also give epsilon by the upper ends of the intervals of both rates at this level,
            ``epsilon_lower``; None does not.
        min_models: Fewest reference models of a role, at least 4.

    References:
        E. Triantafillou et al., "Are we making progress in unlearning? Findings from the first
        NeurIPS unlearning competition", 2024, arXiv:2406.09073.
    """

    needs_roles: ClassVar[tuple[ReferenceRole, ...]] = ("original", "unlearned", "gold")
    eps_ci: float | None = None
    min_models: int = 16

    def __post_init__(self) -> None:
        if self.eps_ci is not None and not 0.0 < self.eps_ci < 1.0:
            raise ConfigError(f"eps_ci must be in (0, 1) or null, got {self.eps_ci}")
        if self.min_models < 4:
            raise ConfigError(f"min_models must be >= 4, got {self.min_models}")

    def values(self, parts: Parts) -> Values:
        meanings = _meanings(parts.heldout)
        if self.eps_ci is None:
            del meanings["epsilon_lower"]
        return Values({f"forget_quality/{n}": m for n, m in meanings.items()}, self._measured)

    def _measured(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        half = self.min_models // 2
        sides = reference_margins(ctx, "forget")
        pairs, whole = sides.crossed(at_least=half), sides.compared(at_least=half)
        epsilons = [best_rules(pair.subject, pair.gold).epsilon for pair in pairs]
        f, n = _mean([quality(epsilon) for epsilon in epsilons]), whole.samples
        all_models = f if ctx.subject == "gold" else _quality(whole)
        facts = {
            "models": pairs[0].models,
            "clipped": pairs[0].clipped,
            "all_models": all_models,
            "all_models_count": whole.models,
        }
        held_out = _mean([Halved.of(pair).held_out_quality() for pair in pairs])
        values = {
            "f": MetricValue(value=f, n=n, extras=facts),
            "f_rel": measure_value(partial(self._relative, sides, f), ctx),
            "f_holdout": MetricValue(value=held_out, n=n),
            "epsilon": _mean_epsilon(epsilons),
            "score": measure_value(partial(_score, f), ctx),
        }
        if self.eps_ci is not None:
            bounds = [best_rules(p.subject, p.gold, confidence=self.eps_ci) for p in pairs]
            values["epsilon_lower"] = _mean_epsilon([bound.epsilon for bound in bounds])
        return {f"forget_quality/{name}": value for name, value in values.items()}

    def _relative(self, sides: ReferenceMargins, f: float, ctx: EvalContext) -> MetricValue:
        pair = sides.null(at_least=self.min_models // 2)
        null = f if ctx.subject == "gold" else _quality(pair)
        if null == 0:
            raise NotComputableError("degenerate", "null_is_zero")
        extras = {"null": null, "f": f, "models": pair.models}
        return MetricValue(value=f / null, n=pair.samples, extras=extras)


def _meanings(heldout: str) -> dict[str, Meaning]:
    to_gold: Direction = "closer_to_gold"
    epsilon = partial(amount, to_gold, unit="nats", high=CAP)
    return {
        "f": share(
            to_gold,
            "Forgetting quality by the best rule per sample that tells unlearned from retrained "
            "models.",
        ),
        "f_rel": amount(
            "closer_to_ideal",
            "Forgetting quality over that of retrained against retrained models.",
            ideal=1.0,
        ),
        "f_holdout": share(
            to_gold,
            "Forgetting quality with rules chosen on other models than they are rated on.",
        ),
        "epsilon": epsilon("Mean over forgotten samples of the best rule's epsilon."),
        "epsilon_lower": epsilon("Mean over forgotten samples of the lower bound of epsilon."),
        "score": amount(
            to_gold,
            f"Forgetting quality times the accuracies on retain and {heldout} over those of "
            "retrained models.",
        ),
    }


@dataclass(frozen=True)
class Halved:
    """Two sets of models in halves; the first half of one is compared with the other's second.

    Args:
        pairs: The two pairs of halves, which share no model.
        rules: The best rules of each.
    """

    pairs: tuple[MarginPair, MarginPair]
    rules: tuple[Rules, Rules]

    @classmethod
    def of(cls, margins: MarginPair) -> "Halved":
        """Find the best rules of both pairs of halves."""
        first, second = ReferenceMargins(margins.subject, margins.gold).crossed(at_least=1)
        rules = best_rules(first.subject, first.gold), best_rules(second.subject, second.gold)
        return cls((first, second), rules)

    def held_out_quality(self) -> float:
        """Return the quality with the rules of either pair, rated on the other pair."""
        rated = zip(self.rules, reversed(self.pairs), strict=True)
        return sum(quality(_rated(rules, pair)) for rules, pair in rated) / 2


def _rated(rules: Rules, margins: MarginPair) -> Tensor:
    """Return the epsilon ``(n,)`` of rules on models that they were not chosen on."""
    inside, gold_inside = (
        ((side >= rules.low) & (side <= rules.high)).sum(dim=0)
        for side in (margins.subject, margins.gold)
    )
    n = margins.models
    # A rule accuses what is inside its interval, or what is outside, whichever side that fits.
    alarms = torch.where(rules.members_inside, gold_inside, inside)
    misses = n - torch.where(rules.members_inside, inside, gold_inside)
    # Half an error of either kind: with few models no error is seen, and epsilon would be CAP.
    fpr, fnr = ((count.double() + 0.5) / (n + 1) for count in (alarms, misses))
    return epsilon_of(fpr, fnr)


def quality(epsilon: Tensor) -> float:
    """Return the mean contribution of samples with ``epsilon`` (n,)."""
    return contribution(epsilon.double()).mean().item()


def contribution(epsilon: Tensor) -> Tensor:
    """Return what samples contribute to the quality, ``2 / 2^n`` in bin n, from 1 down to 0."""
    # The bins of the paper are counted from 1, these from 0: hence no factor 2.
    bin_index = (epsilon / BIN).floor()
    return torch.where(bin_index < BINS, 2.0 ** (-bin_index), 0.0)


def _quality(pair: MarginPair) -> float:
    return quality(best_rules(pair.subject, pair.gold).epsilon)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _mean_epsilon(epsilons: Sequence[Tensor]) -> MetricValue:
    epsilon = torch.cat([*epsilons])
    median, p95 = epsilon.quantile(epsilon.new_tensor([0.5, 0.95])).tolist()
    separated = (epsilon >= CAP).double().mean().item()
    extras = {"median": median, "p95": p95, "separated": separated}
    return MetricValue(value=epsilon.mean().item(), n=len(epsilons[0]), extras=extras)


def _score(f: float, ctx: EvalContext) -> MetricValue:
    ratios = {part: _accuracy_ratio(ctx, part) for part in ("retain", ctx.heldout)}
    return MetricValue(value=f * math.prod(ratios.values()), extras=ratios)


def _accuracy_ratio(ctx: EvalContext, part: str) -> float:
    gold = _accuracies(ctx, "gold", part)
    if ctx.subject == "gold":
        # Over the other half of its own models, or the ratio would be 1 by construction.
        subject, gold = halves(gold)
    else:
        subject = _accuracies(ctx, ctx.subject, part)
    if gold.mean() == 0:
        raise NotComputableError("degenerate", "gold_accuracy_is_zero")
    return (subject.mean() / gold.mean()).item()


def _accuracies(ctx: EvalContext, role: ReferenceRole, part: str) -> Tensor:
    """Return the accuracy of each model of a role on a part, ``(N,)``."""
    right = ctx.task_type.correct(
        reference_logits(ctx, role, part), ctx.sampled(part).targets.cpu()
    )
    return right.double().mean(dim=1)
