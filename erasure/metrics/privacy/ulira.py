"""The per-example attack of unlearning: was this sample unlearned, or never seen?"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Values, share
from erasure.core.references import ReferenceRole
from erasure.core.values import Meaning, MetricValue, NotComputableError, not_computed
from erasure.evaluation.attacks.likelihood_ratio import FEWEST
from erasure.evaluation.attacks.unlearning_attack import UnlearningAttack
from erasure.evaluation.attacks.values import LOW_FPRS
from erasure.evaluation.reference_margins import halves, margins_of, reference_margins
from erasure.evaluation.signals import PHI_LIMIT

Design = Literal["fixed", "random"]
Population = Literal["forget", "retain"]

PREFIXES: Mapping[Population, str] = {"forget": "ulira", "retain": "ulira/retain"}
"""What names begin with, by whose samples are attacked."""


@dataclass(frozen=True, kw_only=True)
class ULiRA:
    """How well an attacker with many models tells, per sample, unlearned from never seen.

    For every sample Gaussians are fitted to its logit-scaled confidence under models that
    unlearned it and under models that never saw it, and each model is judged by the others. A
    perfect unlearner gives an AUC of 0.5. The ``retain`` values ask the same of samples that
    stay: did this model unlearn something, or was it retrained without it?

    For the original the attack looks at models that forgot nothing, and for the retrained model
    at two halves of the retrained models, which gives 0.5.

    Args:
        design: ``fixed`` compares the ``references.size`` models that unlearned the forget set of
            the trial with as many that were retrained without it; their number per side is at
            least four, eight for the halves of the retrained ones. ``random`` takes the
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

    def values(self, parts: Parts) -> Values:
        samples = {"forget": "samples that were unlearned", "retain": "samples that stay"}
        meanings = {
            f"{prefix}/{name}": meaning
            for population, prefix in PREFIXES.items()
            for name, meaning in ulira_meanings(
                f"the attack with many models on {samples[population]}"
            ).items()
        }
        return Values(meanings, self._attack)

    def _attack(self, ctx: EvalContext) -> dict[str, MetricValue]:
        return {
            f"{prefix}/{name}": value
            for population, prefix in PREFIXES.items()
            for name, value in self._values(ctx, population).items()
        }

    def _values(self, ctx: EvalContext, population: Population) -> Mapping[str, MetricValue]:
        # One population may have too few models while the other has enough.
        try:
            if self.design == "fixed":
                margins = reference_margins(ctx, population).compared(at_least=FEWEST)
                attack = UnlearningAttack(margins.subject, margins.gold, ctx.seed)
                return attack.values({"clipped": margins.clipped})
            tables = _shadowed(ctx, population)
            clipped = (torch.cat(tables).abs() > PHI_LIMIT).double().mean().item()
            unlearned, unseen = (table.clamp(-PHI_LIMIT, PHI_LIMIT) for table in tables)
            return UnlearningAttack(unlearned, unseen, ctx.seed).values({"clipped": clipped})
        except NotComputableError as error:
            return dict.fromkeys(ulira_meanings(""), not_computed(error.status, error.reason))


def ulira_interval(ctx: EvalContext) -> tuple[float, float]:
    """Return the interval of ``ulira/auc`` with the models there are, NaN if there is none."""
    try:
        margins = reference_margins(ctx, "forget").compared(at_least=FEWEST)
        auc = UnlearningAttack(margins.subject, margins.gold, ctx.seed).auc({})
    except NotComputableError:
        return math.nan, math.nan
    return auc.ci_low, auc.ci_high


def ulira_meanings(attack: str) -> dict[str, Meaning]:
    """Return the meaning of each value by the last part of its name.

    Args:
        attack: What the attack is, to be read after "of".
    """
    auc = f"Area under the ROC curve of {attack}; 0.5 is chance."
    accuracy = f"Mean of TPR and TNR of {attack}, at even odds."
    return {
        "auc": share("closer_to_ideal", auc, 0.5),
        "balanced_accuracy": share("closer_to_ideal", accuracy, 0.5),
        **{
            name: share(
                "closer_to_ideal",
                f"Share caught at {100 * fpr:g} % false positives by {attack}.",
                fpr,
            )
            for name, fpr in LOW_FPRS.items()
        },
    }


def _shadowed(ctx: EvalContext, population: Population) -> tuple[Tensor, Tensor]:
    """Return the margins of shadows under both hypotheses, of all samples they may know."""
    sides = [_of_part(ctx, part, population) for part in ctx.parts]
    unlearned, unseen = (torch.cat(side, dim=1) for side in zip(*sides, strict=True))
    # For the retrained model the null: never seen against never seen, by other models.
    return halves(unseen) if ctx.subject == "gold" else (unlearned, unseen)


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
        forgotten = ctx.references.forgotten_by("shadow_unlearned", view)
    else:  # shadows that forgot nothing of what they should have
        after = before
        forgotten = trained if population == "forget" else torch.zeros_like(trained)
    if population == "forget":
        return after.where(forgotten, torch.nan), before.where(~trained, torch.nan)
    return after.where(trained & ~forgotten, torch.nan), before.where(trained, torch.nan)
