"""The likelihood-ratio attack: Gaussians per sample, from models that saw it or did not."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Values
from erasure.core.values import MetricValue, NotComputableError
from erasure.evaluation.attacks.likelihood_ratio import FEWEST, FLOOR, OWN_SPREAD
from erasure.evaluation.attacks.nonmembers import non_members
from erasure.evaluation.attacks.reference_models import (
    Mode,
    ReferenceLogits,
    Role,
    check_references,
    reference_models,
)
from erasure.evaluation.attacks.values import attack_meanings, attack_values
from erasure.evaluation.signals import PHI_LIMIT, phi

Variance = Literal["auto", "own", "pooled"]


@dataclass(frozen=True, kw_only=True)
class MIALiRA:
    """Whether a sample was in training, judged by a Gaussian of its own.

    The statistic is the logit-scaled confidence. ``online`` compares two Gaussians per sample,
    of models that saw it and of models that did not, which only shadows offer for every sample.
    ``offline`` asks how far the model lies above those that did not see the sample, in standard
    deviations. Members are the forget set, non-members as in
    :func:`.non_members`; the models that are attacked are never
    among those that Gaussians are fitted to.

    Here the question is "was it trained on?"; ``ulira`` asks "was it unlearned, or never seen?".

    Args:
        mode: ``online`` or ``offline``; names begin with ``mia_lira/<mode>/``.
        references: ``gold`` for many retrained models, which are enough for ``offline``,
            or ``shadow`` for models on random halves.
        variance: ``own`` per sample, ``pooled`` over samples for each of both sides, or
            ``auto``: pooled below 64 models per side, where own ones are too noisy.
        min_n: Fewest samples per side for which a value is given, at least 2.

    Notes:
        Gaussians have the mean of the models as in the paper; the released code takes the
        median, and with pooled variance uses that of one side for both. A standard deviation
        below a thousandth of the pooled one is raised to it and counted in the extras.

    References:
        N. Carlini et al., "Membership Inference Attacks From First Principles", S&P 2022,
        arXiv:2112.03570.
    """

    mode: Mode = "offline"
    references: Role = "gold"
    variance: Variance = "auto"
    min_n: int = 10

    def __post_init__(self) -> None:
        check_references(self.references, self.mode)
        if self.variance not in ("auto", "own", "pooled"):
            raise ConfigError(f"variance must be auto, own or pooled, got {self.variance!r}")
        if self.min_n < 2:
            raise ConfigError(f"min_n must be >= 2, got {self.min_n}")

    @property
    def needs_roles(self) -> tuple[str, ...]:
        """The reference models it cannot do without."""
        return (self.references,)

    def values(self, parts: Parts) -> Values:
        attack = f"{self.mode} LiRA, forget against {parts.heldout} samples of the same kind"
        return Values(attack_meanings(f"mia_lira/{self.mode}", attack), self._attack)

    def _attack(self, ctx: EvalContext) -> dict[str, MetricValue]:
        nonmembers = non_members(ctx, min_n=self.min_n)
        if ctx.references is None or not ctx.references.size(self.references):
            raise NotComputableError("skipped", f"missing_references_of_{self.references}")
        models = reference_models(ctx, self.references, nonmembers)
        sides = (_phi(ctx, "forget"), _phi(ctx, ctx.heldout)[nonmembers.chosen])
        observed, reference = torch.cat(sides), models.phi(ctx.task_type)
        unseen = gaussians(reference, ~models.seen, variance=self.variance)
        extras: dict[str, Any] = {
            "models_out": int(unseen.models.min().item()),
            "raised_deviations": unseen.raised,
            "cut_off": int((observed.abs() >= PHI_LIMIT).sum().item()),
        }
        if self.mode == "online":
            seen = gaussians(reference, models.seen, variance=self.variance)
            extras["models_in"] = int(seen.models.min().item())
            extras["raised_deviations"] += seen.raised
            scores = likelihood_ratio(observed, seen, unseen)
        else:
            # The probability of the paper rises with this number, and would round to 1.
            scores = (observed - unseen.mean) / unseen.variance.sqrt()
        return attack_values(f"mia_lira/{self.mode}", *_split(scores, models), extras)


class Gaussians(NamedTuple):
    """One per sample: mean, variance and number of models, each ``(n,)``; deviations raised."""

    mean: Tensor
    variance: Tensor
    models: Tensor
    raised: int


def gaussians(values: Tensor, chosen: Tensor, *, variance: Variance) -> Gaussians:
    """Fit a Gaussian per sample to the models chosen for it.

    Args:
        values: Statistic of N models on n samples, ``(N, n)`` float64.
        chosen: Which of the models count for which sample, ``(N, n)`` bool.
        variance: ``own``, ``pooled`` over samples, or ``auto``.

    Raises:
        NotComputableError: If no value varies, or there are fewer than four models: for any
            sample if each has a variance of its own, else for the sample in the middle.
    """
    count = chosen.sum(dim=0)
    fewest = int(count.min().item())
    # Pooled deviations are about all samples: a few of them may have a single model.
    is_pooled = variance == "pooled" or (variance == "auto" and fewest < OWN_SPREAD)
    if fewest < (1 if is_pooled else FEWEST) or int(count.median().item()) < FEWEST:
        raise NotComputableError("degenerate", "too_few_models")
    mean = (values * chosen).sum(dim=0) / count
    squares = ((values - mean).square() * chosen).sum(dim=0)
    # Every sample has a mean of its own, and loses a degree of freedom to it.
    pooled = squares.sum() / (count - 1).sum()
    if not pooled > 0:
        raise NotComputableError("degenerate", "constant_references")
    if is_pooled:
        return Gaussians(mean, pooled.expand_as(mean), count, 0)
    variances, floor = squares / (count - 1), FLOOR**2 * pooled
    raised = int((variances < floor).sum().item())
    return Gaussians(mean, variances.clamp_min(floor), count, raised)


def likelihood_ratio(values: Tensor, seen: Gaussians, unseen: Gaussians) -> Tensor:
    """Return ``log N(v; seen) - log N(v; unseen)`` of each sample, ``(n,)``."""
    return _log_density(values, seen) - _log_density(values, unseen)


def _log_density(values: Tensor, fitted: Gaussians) -> Tensor:
    """Return the logarithm of the density, up to the constant that all densities share."""
    return -((values - fitted.mean).square() / fitted.variance + fitted.variance.log()) / 2


def _phi(ctx: EvalContext, part: str) -> Tensor:
    return phi(ctx.task_type, ctx.logits(part), ctx.targets(part)).clamp(-PHI_LIMIT, PHI_LIMIT)


def _split(scores: Tensor, models: ReferenceLogits) -> tuple[Tensor, Tensor]:
    """Return the scores of members and of non-members."""
    return scores[: models.num_forget], scores[models.num_forget :]
