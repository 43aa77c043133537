"""KLoM: how differently unlearned and retrained models are distributed on each sample."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Values, amount
from erasure.core.references import ReferenceRole
from erasure.core.values import Meaning, MetricValue, NotComputableError, not_computed
from erasure.evaluation.reference_margins import MarginPair, reference_margins

BINS = 20
"""Bins over the common range of both sets of models."""

EMPTY = 1e-5
"""Probability of a bin that the reference never reached and the other models did."""

LARGEST = -math.log(EMPTY) + math.log1p(BINS * EMPTY)
"""What the histogram estimate cannot exceed: all is in bins that the reference never reached."""

SPREAD_FLOOR = 1e-3
"""Smallest standard deviation, as a share of that of all samples together."""


@dataclass(frozen=True, kw_only=True)
class KLoM:
    """Divergence of margins over models, per sample, of unlearned from retrained models.

    The histogram estimate is far from zero between equal distributions, the farther the fewer
    models there are. All values therefore compare halves of the models, and the value for the
    retrained model compares its two halves: it is the null, by as many models, and ``excess``
    has it subtracted. What all models give, as it is published, is in the extras of the
    mean as ``all_models``; it is not comparable with the null. ``gaussian`` is the divergence of
    normal distributions, which needs fewer models and sees means and spreads only.

    Args:
        min_models: Fewest reference models of a role, at least 4.

    References:
        K. Georgiev et al., "Attribute-to-Delete: Machine Unlearning via Datamodel Matching",
        ICLR 2025, arXiv:2410.23232; 20 bins, margins cut off at +-100, empty bins 1e-5.
    """

    needs_roles: ClassVar[tuple[ReferenceRole, ...]] = ("original", "unlearned", "gold")
    min_models: int = 20

    def __post_init__(self) -> None:
        if self.min_models < 4:
            raise ConfigError(f"min_models must be >= 4, got {self.min_models}")

    def values(self, parts: Parts) -> Values:
        meanings = {
            f"klom/{part}/{name}": meaning
            for part in parts
            for name, meaning in _meanings(part).items()
        }
        return Values(meanings, self._all_parts)

    def _all_parts(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        values: dict[str, MetricValue] = {}
        for part in ctx.parts:
            try:
                of_part = self._on_part(ctx, part)
            except NotComputableError as error:  # one part may lack what another has
                of_part = dict.fromkeys(_meanings(part), not_computed(error.status, error.reason))
            values |= {f"klom/{part}/{name}": value for name, value in of_part.items()}
        return values

    def _on_part(self, ctx: EvalContext, part: str) -> Mapping[str, MetricValue]:
        sides, half = reference_margins(ctx, part), self.min_models // 2
        pairs, null_pair = sides.crossed(at_least=half), sides.null(at_least=half)
        whole = sides.compared(at_least=half)
        divergences = _both_ways(pairs)
        mean, n = divergences.mean().item(), len(divergences)
        null = _both_ways((null_pair, _swapped(null_pair))).mean().item()
        extras = {"models": pairs[0].models, "clipped": pairs[0].clipped, "null": null}
        published = {
            "all_models": histogram_kl(whole.subject, whole.gold).mean().item(),
            "all_models_count": whole.models,
        }
        gaussian = torch.stack([gaussian_kl(p.subject, p.gold) for p in pairs]).mean().item()
        return {
            "mean": MetricValue(value=mean, n=n, extras={**extras, **published}),
            "p95": MetricValue(value=divergences.quantile(0.95).item(), n=n, extras=extras),
            "excess": MetricValue(value=mean - null, n=n, extras=extras),
            "gaussian": MetricValue(value=gaussian, n=n, extras={"models": pairs[0].models}),
        }


def _meanings(part: str) -> dict[str, Meaning]:
    def divergence(what: str, high: float) -> Meaning:
        description = f"{what}, on the {part} set."
        return amount("closer_to_gold", description, unit="nats", high=high)

    return {
        "mean": divergence(
            "Mean over samples of the divergence of margins from those of retrained models",
            LARGEST,
        ),
        "p95": divergence(
            "95th percentile over samples of the divergence of margins from retrained models",
            LARGEST,
        ),
        "excess": Meaning(
            direction="min",
            low=-LARGEST,
            high=LARGEST,
            ideal=0.0,
            description="The mean divergence minus that of retrained models from retrained "
            f"models, on the {part} set.",
        ),
        "gaussian": divergence(
            "Mean over samples of the divergence of normal distributions of the margins", math.inf
        ),
    }


def _both_ways(pairs: tuple[MarginPair, MarginPair]) -> Tensor:
    """Return the mean of the divergences of two pairs, ``(n,)``."""
    return torch.stack([histogram_kl(pair.subject, pair.gold) for pair in pairs]).mean(dim=0)


def _swapped(margins: MarginPair) -> MarginPair:
    return MarginPair(margins.gold, margins.subject, margins.clipped)


def histogram_kl(margins: Tensor, reference: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of histograms, ``KL(margins || reference)``.

    Both histograms have 20 equal bins over the common range, the last one closed; the reference
    is normalized again after its empty bins are filled. ``numpy.histogram`` has the same bins,
    but of one sample at a time.

    Args:
        margins: Models by samples, ``(N, n)`` float64, finite.
        reference: Margins of the reference, ``(M, n)``.

    Returns:
        ``(n,)`` in nats, at least 0; 0 for samples whose margins are all the same.

    References:
        K. Georgiev et al., "Attribute-to-Delete: Machine Unlearning via Datamodel Matching",
        ICLR 2025, arXiv:2410.23232.
    """
    low = torch.minimum(margins.amin(dim=0), reference.amin(dim=0))
    width = torch.maximum(margins.amax(dim=0), reference.amax(dim=0)) - low
    # Margins that are all the same have width 0, and all go into the first bin of both.
    width = torch.where(width > 0, width, 1.0)
    p, q = (_histogram((side - low) / width) for side in (margins, reference))
    q = torch.where(p > 0, q.clamp(min=EMPTY), q)
    q = q / q.sum(dim=1, keepdim=True)
    # Where p is 0 the term is 0, whatever q is; the inner where keeps 0 / 0 out of the log.
    terms = torch.where(p > 0, p * (p / torch.where(p > 0, q, 1.0)).log(), 0.0)
    return terms.sum(dim=1).clamp(min=0)  # shares add up to one only after rounding


def _histogram(positions: Tensor) -> Tensor:
    """Return the share ``(n, BINS)`` of the values ``(N, n)`` in [0, 1] that is in each bin."""
    count, samples = positions.shape
    bins = (positions * BINS).long().clamp(max=BINS - 1)  # the last bin is closed
    # All samples are counted at once: bin b of sample s has the number s * BINS + b.
    bins += torch.arange(samples) * BINS
    counts = bins.flatten().bincount(minlength=samples * BINS).view(samples, BINS)
    return counts.double() / count


def gaussian_kl(margins: Tensor, reference: Tensor) -> Tensor:
    """Return the divergence of the normal distributions fitted to margins, ``(n,)`` in nats.

    It needs fewer models than :func:`histogram_kl` and sees means and spreads only.

    Args:
        margins: Models by samples, ``(N, n)`` float64, N >= 2.
        reference: Margins of the reference, ``(M, n)``, M >= 2.
    """
    variances = margins.var(dim=0), reference.var(dim=0)
    # A sample on which all models agree would have an infinite divergence; 1e-30 if all do.
    floor = SPREAD_FLOOR**2 * torch.stack(variances).mean().item()
    variance_p, variance_q = (variance.clamp(min=max(floor, 1e-30)) for variance in variances)
    return normal_kl(margins.mean(dim=0), variance_p, reference.mean(dim=0), variance_q)


def normal_kl(mean_p: Tensor, variance_p: Tensor, mean_q: Tensor, variance_q: Tensor) -> Tensor:
    """Return ``KL(N(mean_p, variance_p) || N(mean_q, variance_q))``, elementwise, in nats.

    ``torch.distributions.kl_divergence`` has it for standard deviations, whose square would not
    be the variance that is at hand to the last bit.
    """
    moved = (variance_p + (mean_p - mean_q).square()) / variance_q
    return 0.5 * (variance_q.log() - variance_p.log() + moved - 1)
