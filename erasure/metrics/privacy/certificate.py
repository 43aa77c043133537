"""What a method proves about its forgetting, and whether what was measured contradicts it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from erasure.core.context import EvalContext, Who
from erasure.core.errors import ConfigError, ErasureError, UnsupportedError
from erasure.core.metric import Parts, Value, amount
from erasure.core.references import ReferenceRole
from erasure.core.values import MetricValue, NotComputableError
from erasure.evaluation.measure import measure_value
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
    reference models: by the mean logit-scaled confidence on the forget set it tells unlearned
    from retrained models, with a threshold chosen on one half of them and error rates of the
    other, each at the unfavourable end of its interval. Retrained models are the yardstick of an
    exact method, which the attack may contradict. A certificate that rests on noise compares with
    training by the method itself, noise included, which the retrained models did not get: an
    attack that tells them apart says that the method is not retraining, not that its proof fails.

    They belong to the unlearned model; other models have none of these values.

    Args:
        delta: Delta at which the empirical epsilon is given if the method has none, in (0, 1).
        min_models: Fewest models in each half of each side.

    Raises:
        ErasureError: If a method is exact here, and the attack tells reference models of it
            from retrained ones.

    References:
        C. Guo et al., "Certified Data Removal from Machine Learning Models", ICML 2020,
        arXiv:1911.03030; P. Kairouz et al., "The Composition Theorem for Differential Privacy",
        ICML 2015, arXiv:1311.0776: the bounds on attacks.
    """

    subjects: ClassVar[tuple[Who, ...]] = ("unlearned",)

    delta: float = 1e-5
    min_models: int = 8

    def __post_init__(self) -> None:
        if not 0 < self.delta < 1:
            raise ConfigError(f"delta must be in (0, 1), got {self.delta}")
        if self.min_models < 2:
            raise ConfigError(f"min_models must be >= 2, got {self.min_models}")

    def values(self, parts: Parts) -> Mapping[str, Value]:
        exact = amount("info", "Whether the weights are those of the retrained model.", high=1.0)
        epsilon = amount("info", "Epsilon that the method certifies.")
        delta = amount("info", "Delta that the method certifies.", high=1.0)
        empirical = amount("info", "Epsilon that an attack shows to be too small.")
        return {
            "certificate/exact": Value(exact, _exact),
            "certificate/epsilon": Value(epsilon, _epsilon),
            "certificate/delta": Value(delta, _delta),
            "certificate/empirical_epsilon": Value(empirical, self._empirical),
        }

    def _empirical(self, ctx: EvalContext) -> MetricValue:
        references = ctx.references
        if references is None or min(references.size("unlearned"), references.size("gold")) == 0:
            raise NotComputableError("skipped", "missing_references")
        unlearned, gold = _statistic(ctx, "unlearned"), _statistic(ctx, "gold")
        if min(len(unlearned), len(gold)) < 2 * self.min_models:
            raise NotComputableError("degenerate", "too_few")
        certified = measure_value(_delta, ctx)
        delta = certified.value if certified.status == "ok" else self.delta
        errors, totals = _attack_errors(unlearned, gold)
        lower = epsilon_lower_bound(errors, totals, delta)
        _require_consistent(ctx, lower)
        point = epsilon_at(errors[0] / totals[0], errors[1] / totals[1], delta)
        extras = {"errors": errors, "models": totals, "delta": delta}
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
    bounds = [
        # Where `above` is not positive the error rates are possible under any epsilon.
        math.inf if below == 0 else math.log(above / below)
        for above, below in ((1 - delta - fpr, fnr), (1 - delta - fnr, fpr))
        if above > 0
    ]
    return max(0.0, *bounds) if bounds else 0.0


def epsilon_lower_bound(errors: tuple[int, int], totals: tuple[int, int], delta: float) -> float:
    """Return :func:`epsilon_at` with both error rates at the upper ends of their intervals.

    Args:
        errors: False positives and false negatives.
        totals: Negatives and positives.
        delta: Failure probability of the certificate.
    """
    highest = [clopper_pearson(*counts)[1] for counts in zip(errors, totals, strict=True)]
    return epsilon_at(highest[0], highest[1], delta)


def _exact(ctx: EvalContext) -> float:
    if "gold" not in ctx.models:
        raise NotComputableError("skipped", "missing_gold")
    weights, gold = (ctx.models[who].state_dict() for who in ("unlearned", "gold"))
    same = weights.keys() == gold.keys() and all(torch.equal(weights[k], gold[k]) for k in gold)
    return float(same)


def _is_exact(ctx: EvalContext) -> bool:
    return measure_value(_exact, ctx).value == 1  # without a retrained model it is NaN


def _epsilon(ctx: EvalContext) -> MetricValue:
    if _is_exact(ctx):
        return MetricValue(value=0.0, extras=_guarantee(0.0, 0.0, "exact", "model"))
    if "reported/epsilon" not in ctx.costs or "reported/spent" not in ctx.costs:
        raise NotComputableError("skipped", "no_certificate")
    spent = ctx.costs["reported/spent"]
    extras = _guarantee(spent, ctx.costs["reported/delta"], "certified_removal", _scope(ctx))
    reported = {
        name.removeprefix("reported/"): value
        for name, value in ctx.costs.items()
        if name.startswith("reported/")
    }
    return MetricValue(value=spent, extras={**extras, "reported": reported})


def _delta(ctx: EvalContext) -> float:
    return float(_epsilon(ctx).extras["delta"])


def _guarantee(epsilon: float, delta: float, notion: str, scope: str) -> dict[str, Any]:
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
    head_weights = {id(weight) for weight in model.get_submodule(name).parameters()}
    others = [weight for weight in model.parameters() if id(weight) not in head_weights]
    return "head" if any(weight.requires_grad for weight in others) else "model"


def _statistic(ctx: EvalContext, role: ReferenceRole) -> Tensor:
    """Return one number per model of a role, ``(N,)``."""
    confidences = phi(ctx.task_type, ctx.stack(role, "forget"), ctx.targets("forget"))
    return confidences.clamp(-PHI_LIMIT, PHI_LIMIT).mean(dim=1)


def _attack_errors(unlearned: Tensor, gold: Tensor) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return false positives and negatives, and of how many, on the second half of models."""
    # The threshold is chosen on the first halves; error rates of the models that it was chosen
    # on would be too small, and the lower bound on epsilon no bound.
    (fit_u, test_u), (fit_g, test_g) = (
        side.tensor_split([len(side) // 2]) for side in (unlearned, gold)
    )
    # Unlearned models may lie above or below retrained ones: the better sign is taken.
    attacks = [(best_balanced_accuracy(roc(s * fit_u, s * fit_g)), s) for s in (1.0, -1.0)]
    (_, threshold), sign = max(attacks, key=lambda attack: attack[0][0])
    alarms = int((sign * test_g >= threshold).sum().item())
    misses = int((sign * test_u < threshold).sum().item())
    return (alarms, misses), (len(test_g), len(test_u))


def _require_consistent(ctx: EvalContext, lower: float) -> None:
    """Refuse a lower bound above 0 for a model that is, bit for bit, the retrained one."""
    if _is_exact(ctx) and lower > 0.0:
        raise ErasureError(
            f"exact unlearning is contradicted: over seeds an attack tells unlearned from "
            f"retrained models with an epsilon of at least {lower:.3g}"
        )
