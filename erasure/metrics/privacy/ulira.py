"""The per-example attack of unlearning: was this sample unlearned, or never seen?"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor

from erasure.core.context import EvalContext, ReferenceRole
from erasure.core.errors import ConfigError
from erasure.core.values import Meaning, MetricValue, NotComputableError, missing
from erasure.evaluation.attacks.likelihood_ratio import FEWEST
from erasure.evaluation.attacks.unlearning_attack import UnlearningAttack
from erasure.evaluation.attacks.values import LOW_FPRS
from erasure.evaluation.pool_margins import margins_of, pools
from erasure.evaluation.signals import PHI_LIMIT

Design = Literal["fixed", "random"]
Population = Literal["forget", "retain"]


@dataclass(frozen=True, kw_only=True)
class ULiRA:
    """How well an attacker with many models tells, per sample, unlearned from never seen.

    For every sample Gaussians are fitted to its logit-scaled confidence under models that
    unlearned it and under models that never saw it, and each model is judged by the others. A
    perfect unlearner gives an AUC of 0.5. The ``retain`` values ask the same of samples that
    stay: did this model unlearn something, or was it retrained without it?

    For the original the attack looks at models that forgot nothing, and for the retrained model
    at two halves of its own pool, which gives 0.5.

    Args:
        design: ``fixed`` compares models of ``references.size`` that unlearned the forget set of
            the trial with as many that were retrained without it; their number per side is at
            least four, eight for the halves of the retrained pool. ``random`` takes the
            ``references.shadows`` models on random halves of the data: every sample is unlearned
            by some and unseen by others.

    Notes:
        Intervals count scores of one sample, and of one model, as dependent, see
        :mod:`erasure.evaluation.statistics.clustered`.

    References:
        J. Hayes et al., "Inexact Unlearning Needs More Careful Evaluations to Avoid a False
        Sense of Privacy", SaTML 2025, arXiv:2403.01218.
    """

    design: Design = "fixed"

    def __post_init__(self) -> None:
        if self.design not in get_args(Design):
            raise ConfigError(f"design must be fixed or random, got {self.design!r}")

    @property
    def needs_roles(self) -> tuple[ReferenceRole, ...]:
        """Roles of the models that are compared."""
        if self.design == "random":
            return ("shadow", "shadow_unlearned")
        return ("original", "unlearned", "gold")

    def schema(self, heldout: str) -> Mapping[str, Meaning]:  # noqa: ARG002 - no part in names
        attacks = {
            "ulira": "samples that were unlearned",
            "ulira/retain": "samples that stay",
        }
        return {
            f"{prefix}/{name}": meaning
            for prefix, samples in attacks.items()
            for name, meaning in _meanings(f"the attack with many models on {samples}").items()
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        prefixes: Mapping[Population, str] = {"forget": "ulira", "retain": "ulira/retain"}
        return {
            f"{prefix}/{name}": found
            for population, prefix in prefixes.items()
            for name, found in self._values(ctx, population).items()
        }

    def _values(self, ctx: EvalContext, population: Population) -> Mapping[str, MetricValue]:
        try:
            if self.design == "fixed":
                found = pools(ctx, population).compared(at_least=FEWEST)
                attack = UnlearningAttack(found.ours, found.theirs, ctx.seed)
                return attack.values({"clipped": found.clipped})
            tables = _shadowed(ctx, population)
            clipped = (torch.cat(tables).abs() > PHI_LIMIT).double().mean().item()
            ours, theirs = (side.clamp(-PHI_LIMIT, PHI_LIMIT) for side in tables)
            return UnlearningAttack(ours, theirs, ctx.seed).values({"clipped": clipped})
        except NotComputableError as error:
            return dict.fromkeys(_meanings(""), missing(error.status, error.reason))


def ulira_interval(ctx: EvalContext) -> tuple[float, float]:
    """Return the interval of ``ulira/auc`` with the models there are, NaN if there is none."""
    try:
        found = pools(ctx, "forget").compared(at_least=FEWEST)
        value = UnlearningAttack(found.ours, found.theirs, ctx.seed).auc({})
    except NotComputableError:
        return math.nan, math.nan
    return value.ci_low, value.ci_high


def _meanings(attack: str) -> dict[str, Meaning]:
    rate = partial(Meaning, direction="closer_to_ideal", low=0.0, high=1.0)
    return {
        "auc": rate(
            ideal=0.5, description=f"Area under the ROC curve of {attack}; 0.5 is chance."
        ),
        "balanced_accuracy": rate(
            ideal=0.5, description=f"Mean of TPR and TNR of {attack}, at even odds."
        ),
        **{
            name: rate(
                ideal=fpr,
                description=f"Share caught at {100 * fpr:g} % false positives by {attack}.",
            )
            for name, fpr in LOW_FPRS.items()
        },
    }


def _shadowed(ctx: EvalContext, population: Population) -> tuple[Tensor, Tensor]:
    """Return the margins of shadows under both hypotheses, of all samples they may know."""
    sides = [_of_part(ctx, part, population) for part in ctx.parts]
    ours, theirs = (torch.cat(side, dim=1) for side in zip(*sides, strict=True))
    if ctx.subject == "gold":
        size = len(theirs) // 2
        return theirs[0 : 2 * size : 2], theirs[1 : 2 * size : 2]
    return ours, theirs


def _of_part(ctx: EvalContext, part: str, population: Population) -> tuple[Tensor, Tensor]:
    """Return margins of a part under both hypotheses, ``(K, n)`` each, NaN elsewhere.

    They are "unlearned" and "never seen", or of samples that stay, "stayed while others were
    unlearned" and "stayed".
    """
    before = margins_of(ctx, "shadow", part)
    assert ctx.references is not None  # noqa: S101  # or there were no margins
    view = ctx.sampled(part)
    trained = ctx.references.trained_on("shadow", view)
    if ctx.subject == "unlearned":
        after = margins_of(ctx, "shadow_unlearned", part)
        gone = ctx.references.forgotten_by("shadow_unlearned", view)
    else:  # shadows that forgot nothing of what they should have
        after, gone = before, trained if population == "forget" else torch.zeros_like(trained)
    if population == "forget":
        return after.where(gone, torch.nan), before.where(~trained, torch.nan)
    return after.where(trained & ~gone, torch.nan), before.where(trained, torch.nan)
