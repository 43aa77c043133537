"""What a method proves about its forgetting, and whether what was measured contradicts it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from erasure.core.context import EvalContext, ReferenceRole
from erasure.core.errors import ConfigError, ErasureError, UnsupportedError
from erasure.core.values import Meaning, MetricValue, NotComputableError, measure
from erasure.evaluation.signals import PHI_LIMIT, phi
from erasure.evaluation.statistics.estimates import clopper_pearson
from erasure.evaluation.statistics.roc import best_balanced_accuracy, roc
from erasure.models.layers import head

ATTACKED_FPRS = (0.001, 0.01)
"""False-positive rates at which the bound on any attack is noted."""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """The (epsilon, delta) of a method that has one, beside an empirical lower bound.

    ``exact`` is 1 if the model has, bit for bit, the weights of the retrained one; then epsilon
    and delta are 0. Otherwise ``epsilon`` and ``delta`` are what a method with a certificate
    reported at its last step: the epsilon that was really used, checked at run time. The extras
    say of what it holds, ``model`` or only the ``head`` on features that may remember, and how
    well any attack can then do.

    ``empirical_epsilon`` is *not* certified. It is what an attack on whole models shows, with the
    pool of references: by the mean logit-scaled confidence on the forget set it tells unlearned
    from retrained models, with a threshold chosen on one half of them and error rates of the
    other, each at the unfavourable end of its interval. Retrained models are the yardstick of an
    exact method, which the attack may contradict. A certificate that rests on noise compares with
    training by the method itself, noise included, which the retrained models did not get: an
    attack that tells them apart says that the method is not retraining, not that its proof fails.

    They belong to the unlearned model; for any other subject the mapping is empty.

    Args:
        delta: Delta at which the empirical epsilon is given if the method has none, in (0, 1).
        min_models: Fewest models in each half of each side.

    Raises:
        ErasureError: If a method is exact here, and the attack tells the models of the pool
            from retrained ones.

    References:
        C. Guo et al., "Certified Data Removal from Machine Learning Models", ICML 2020,
        arXiv:1911.03030; P. Kairouz et al., "The Composition Theorem for Differential Privacy",
        ICML 2015, arXiv:1311.0776: the bounds on attacks.
    """

    delta: float = 1e-5
    min_models: int = 8

    def __post_init__(self) -> None:
        if not 0 < self.delta < 1:
            raise ConfigError(f"delta must be in (0, 1), got {self.delta}")
        if self.min_models < 2:
            raise ConfigError(f"min_models must be >= 2, got {self.min_models}")

    def schema(self, heldout: str) -> Mapping[str, Meaning]:  # noqa: ARG002 - of the model
        said = {
            "exact": ("Whether the weights are those of the retrained model.", 1.0),
            "epsilon": ("Epsilon that the method certifies.", math.inf),
            "delta": ("Delta that the method certifies.", 1.0),
            "empirical_epsilon": ("Epsilon that an attack shows to be too small.", math.inf),
        }
        return {
            f"certificate/{name}": Meaning(
                direction="info", low=0.0, high=high, description=description
            )
            for name, (description, high) in said.items()
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        if ctx.subject != "unlearned":
            return {}
        found = {
            "certificate/exact": measure(partial(_exact, ctx)),
            "certificate/epsilon": measure(partial(_epsilon, ctx)),
            "certificate/delta": measure(partial(_delta, ctx)),
            "certificate/empirical_epsilon": measure(partial(self._empirical, ctx)),
        }
        _require_consistent(found["certificate/epsilon"], found["certificate/empirical_epsilon"])
        return found

    def _empirical(self, ctx: EvalContext) -> MetricValue:
        references = ctx.references
        if references is None or min(references.size("unlearned"), references.size("gold")) == 0:
            raise NotComputableError("skipped", "missing_pool")
        sides = _statistic(ctx, "unlearned"), _statistic(ctx, "gold")
        if min(len(side) for side in sides) < 2 * self.min_models:
            raise NotComputableError("degenerate", "too_few")
        certified = measure(partial(_delta, ctx))
        delta = certified.value if certified.status == "ok" else self.delta
        wrong, totals = _errors(sides[0], sides[1])
        lower = epsilon_lower_bound(wrong, totals, delta)
        point = epsilon_at(wrong[0] / totals[0], wrong[1] / totals[1], delta)
        extras = {"errors": wrong, "models": totals, "delta": delta}
        if math.isfinite(point):
            extras["point_estimate"] = point
        return MetricValue(value=lower, n=sum(totals), extras=extras)


def tpr_bound(epsilon: float, delta: float, fpr: float) -> float:
    """Return the highest true-positive rate that any attack can have at ``fpr``."""
    return min(1.0, math.exp(epsilon) * fpr + delta)


def accuracy_bound(epsilon: float, delta: float) -> float:
    """Return the highest balanced accuracy that any attack can have."""
    return (math.exp(epsilon) + delta) / (1 + math.exp(epsilon))


def epsilon_at(fpr: float, fnr: float, delta: float) -> float:
    """Return the smallest epsilon under which an attack can have these error rates, at least 0.

    It is infinite where one error never happens.
    """
    found = [
        math.inf if below == 0 else math.log(above / below)
        for above, below in ((1 - delta - fpr, fnr), (1 - delta - fnr, fpr))
        if above > 0
    ]
    return max(0.0, *found) if found else 0.0


def epsilon_lower_bound(wrong: tuple[int, int], totals: tuple[int, int], delta: float) -> float:
    """Return :func:`epsilon_at` with both error rates at the upper ends of their intervals.

    Args:
        wrong: False positives and false negatives.
        totals: Negatives and positives.
        delta: Failure probability of the certificate.
    """
    highest = [clopper_pearson(*counts)[1] for counts in zip(wrong, totals, strict=True)]
    return epsilon_at(highest[0], highest[1], delta)


def _exact(ctx: EvalContext) -> float:
    if "gold" not in ctx.models:
        raise NotComputableError("skipped", "missing_gold")
    ours, theirs = (ctx.models[who].state_dict() for who in ("unlearned", "gold"))
    same = ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)
    return float(same)


def _epsilon(ctx: EvalContext) -> MetricValue:
    if measure(partial(_exact, ctx)).value == 1:
        return MetricValue(value=0.0, extras=_said(0.0, 0.0, "exact", "model"))
    if "reported/epsilon" not in ctx.costs or "reported/spent" not in ctx.costs:
        raise NotComputableError("skipped", "no_certificate")
    spent = ctx.costs["reported/spent"]
    said = _said(spent, ctx.costs["reported/delta"], "certified_removal", _scope(ctx))
    noted = {
        name.removeprefix("reported/"): value
        for name, value in ctx.costs.items()
        if name.startswith("reported/")
    }
    return MetricValue(value=spent, extras={**said, "reported": noted})


def _delta(ctx: EvalContext) -> float:
    found = _epsilon(ctx)
    return float(found.extras["delta"])


def _said(epsilon: float, delta: float, notion: str, scope: str) -> dict[str, Any]:
    return {
        "notion": notion,
        "scope": scope,
        "delta": delta,
        "accuracy_bound": accuracy_bound(epsilon, delta),
        "tpr_bounds": {str(fpr): tpr_bound(epsilon, delta, fpr) for fpr in ATTACKED_FPRS},
    }


def _scope(ctx: EvalContext) -> str:
    """Return ``model`` if nothing but the head was ever trained, else ``head``."""
    model = ctx.models["original"] if "original" in ctx.models else ctx.models["unlearned"]
    try:
        name = head(model)[0]
    except UnsupportedError:
        return "head"
    own = {id(weight) for weight in model.get_submodule(name).parameters()}
    others = [p for p in model.parameters() if id(p) not in own]
    return "head" if any(weight.requires_grad for weight in others) else "model"


def _statistic(ctx: EvalContext, role: ReferenceRole) -> Tensor:
    """Return one number per model of a role, ``(N,)``."""
    found = phi(ctx.task_type, ctx.stack(role, "forget"), ctx.targets("forget"))
    return found.clamp(-PHI_LIMIT, PHI_LIMIT).mean(dim=1)


def _errors(unlearned: Tensor, gold: Tensor) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return false positives and negatives, and of how many, on the second half of models."""
    (fit_u, test_u), (fit_g, test_g) = (
        side.tensor_split([len(side) // 2]) for side in (unlearned, gold)
    )
    attacks = [(best_balanced_accuracy(roc(s * fit_u, s * fit_g)), s) for s in (1.0, -1.0)]
    (_, threshold), sign = max(attacks, key=lambda attack: attack[0][0])
    alarms = int((sign * test_g >= threshold).sum().item())
    misses = int((sign * test_u < threshold).sum().item())
    return (alarms, misses), (len(test_g), len(test_u))


def _require_consistent(certified: MetricValue, empirical: MetricValue) -> None:
    if certified.status != "ok" or empirical.status != "ok":
        return
    if certified.extras["notion"] == "exact" and empirical.value > certified.value:
        raise ErasureError(
            f"exact unlearning is contradicted: over seeds an attack tells unlearned from "
            f"retrained models with an epsilon of at least {empirical.value:.3g}"
        )
