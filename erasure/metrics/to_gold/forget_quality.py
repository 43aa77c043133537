"""Forgetting quality and final score of the NeurIPS 2023 unlearning challenge."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from erasure.core.context import EvalContext, ReferenceRole
from erasure.core.errors import ConfigError
from erasure.core.values import Meaning, MetricValue, NotComputableError, measure, missing
from erasure.evaluation.attacks.epsilon import Rules, best_rules, epsilon_of
from erasure.evaluation.pool_margins import Margins, Pools, halves, pooled, pools

BIN = 0.5
"""Width of a bin of epsilon; each halves what a sample contributes."""

BINS = 13
"""Number of bins; a sample beyond them contributes nothing."""


@dataclass(frozen=True, kw_only=True)
class ForgetQuality:
    """How private forgetting is, and what is left of the utility, by many models.

    For every forgotten sample the best rule of a family tells unlearned from retrained models;
    its epsilon, in bins of 0.5, gives ``2 / 2^bin``, and ``f`` is the mean. Even equal pools are
    far from 1, about 0.2, because a rule is found that happens to fit. So ``f`` of the retrained
    model compares the halves of its pool, and ``f_rel`` is the quotient by it, with as many
    models: 1 is indistinguishable. ``f_holdout`` chooses the rule on one half of the models and
    takes its rates, each with half an error of either kind added, from the other half.

    Args:
        eps_ci: Also give epsilon by the upper ends of the intervals of both rates at this level,
            ``epsilon_lower``; None does not.
        min_models: Fewest models of a pool, at least 4.

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

    def schema(self, heldout: str) -> Mapping[str, Meaning]:
        return {
            f"forget_quality/{name}": meaning
            for name, meaning in _meanings(heldout).items()
            if name != "epsilon_lower" or self.eps_ci is not None
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        try:
            both = pools(ctx, "forget")
            margins = both.compared(at_least=self._side(ctx))
        except NotComputableError as error:
            return dict.fromkeys(self.schema(ctx.heldout), missing(error.status, error.reason))
        rules = best_rules(margins.ours, margins.theirs)
        f = MetricValue(value=quality(rules.epsilon), n=margins.samples, extras=_noted(margins))
        halved = Halved.of(margins)
        found = {
            "f": f,
            "f_rel": measure(partial(self._relative, both, halved)),
            "f_holdout": MetricValue(value=halved.held_out_quality(), n=margins.samples),
            "epsilon": _epsilon(rules.epsilon),
            "score": measure(partial(_score, ctx, f.value)),
        }
        if self.eps_ci is not None:
            bound = best_rules(margins.ours, margins.theirs, confidence=self.eps_ci)
            found["epsilon_lower"] = _epsilon(bound.epsilon)
        return {f"forget_quality/{name}": value for name, value in found.items()}

    def _side(self, ctx: EvalContext) -> int:
        return self.min_models // 2 if ctx.subject == "gold" else self.min_models

    def _relative(self, both: Pools, halved: "Halved") -> MetricValue:
        reference = both.null(at_least=self.min_models // 2)
        nothing = quality(best_rules(reference.ours, reference.theirs).epsilon)
        if nothing == 0:
            raise NotComputableError("degenerate", "null_is_zero")
        ours = nothing if both.ours is None else halved.quality()
        extras = {"null": nothing, "f": ours, "models": reference.models}
        return MetricValue(value=ours / nothing, n=reference.samples, extras=extras)


@dataclass(frozen=True)
class Halved:
    """Two pools, each in halves; the first half of one is compared with the second of the other.

    Args:
        pairs: The two pairs of halves, which share no model.
        rules: The best rules of each.
    """

    pairs: tuple[Margins, Margins]
    rules: tuple[Rules, Rules]

    @classmethod
    def of(cls, margins: Margins) -> "Halved":
        """Find the best rules of both pairs of halves."""
        one, other = Pools(margins.ours, margins.theirs).crossed(at_least=1)
        return cls(
            (one, other), (best_rules(one.ours, one.theirs), best_rules(other.ours, other.theirs))
        )

    def quality(self) -> float:
        """Return the mean quality of both pairs."""
        return sum(quality(rules.epsilon) for rules in self.rules) / 2

    def held_out_quality(self) -> float:
        """Return the quality with the rules of either pair, rated on the other pair."""
        rated = zip(self.rules, reversed(self.pairs), strict=True)
        return sum(quality(_rated(rules, pair)) for rules, pair in rated) / 2


def contribution(epsilon: Tensor) -> Tensor:
    """Return what samples contribute to the quality, ``2 / 2^n`` in bin n, from 1 down to 0."""
    number = (epsilon / BIN).floor()
    return torch.where(number < BINS, 2.0 ** (-number), 0.0)


def quality(epsilon: Tensor) -> float:
    """Return the mean contribution of samples with ``epsilon`` (n,)."""
    return contribution(epsilon.double()).mean().item()


def _rated(rules: Rules, margins: Margins) -> Tensor:
    """Return the epsilon ``(n,)`` of given rules on further models."""
    ours_hit, theirs_hit = (
        ((side >= rules.low) & (side <= rules.high)).sum(dim=0)
        for side in (margins.ours, margins.theirs)
    )
    n = margins.models
    alarms = torch.where(rules.ours_inside, theirs_hit, ours_hit)
    misses = n - torch.where(rules.ours_inside, ours_hit, theirs_hit)
    rates = [(count.double() + 0.5) / (n + 1) for count in (alarms, misses)]
    return epsilon_of(rates[0], rates[1])


def _meanings(heldout: str) -> dict[str, Meaning]:
    share = partial(Meaning, direction="closer_to_gold", low=0.0, high=1.0)
    large = partial(Meaning, direction="closer_to_gold", low=0.0, high=math.inf)
    epsilon = partial(Meaning, direction="closer_to_gold", low=0.0, high=50.0, unit="nats")
    return {
        "f": share(
            description="Forgetting quality by the best rule per sample that tells unlearned "
            "from retrained models."
        ),
        "f_rel": Meaning(
            direction="closer_to_ideal",
            low=0.0,
            high=math.inf,
            ideal=1.0,
            description="Forgetting quality over that of retrained against retrained models.",
        ),
        "f_holdout": share(
            description="Forgetting quality with rules chosen on other models than they are "
            "rated on."
        ),
        "epsilon": epsilon(description="Mean over forgotten samples of the best rule's epsilon."),
        "epsilon_lower": epsilon(
            description="Mean over forgotten samples of the lower bound of epsilon."
        ),
        "score": large(
            description="Forgetting quality times the accuracies on retain and "
            f"{heldout} over those of retrained models."
        ),
    }


def _noted(margins: Margins) -> dict[str, float]:
    return {"models": margins.models, "clipped": margins.clipped}


def _epsilon(values: Tensor) -> MetricValue:
    points = values.quantile(values.new_tensor([0.5, 0.95])).tolist()
    separated = (values >= 50.0).double().mean().item()
    extras = {"median": points[0], "p95": points[1], "separated": separated}
    return MetricValue(value=values.mean().item(), n=len(values), extras=extras)


def _score(ctx: EvalContext, f: float) -> MetricValue:
    ratios = {part: _accuracy_ratio(ctx, part) for part in ("retain", ctx.heldout)}
    return MetricValue(value=f * math.prod(ratios.values()), extras=ratios)


def _accuracy_ratio(ctx: EvalContext, part: str) -> float:
    theirs = _accuracies(ctx, "gold", part)
    if ctx.subject == "gold":
        ours, theirs = halves(theirs)
    else:
        ours = _accuracies(ctx, ctx.subject, part)
    if theirs.mean() == 0:
        raise NotComputableError("degenerate", "gold_accuracy_is_zero")
    return (ours.mean() / theirs.mean()).item()


def _accuracies(ctx: EvalContext, role: ReferenceRole, part: str) -> Tensor:
    right = ctx.task_type.correct(pooled(ctx, role, part), ctx.sampled(part).targets.cpu())
    return right.double().mean(dim=1)
