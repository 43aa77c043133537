"""KLoM: how differently unlearned and retrained models are distributed on each sample."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from erasure.core.context import EvalContext, ReferenceRole
from erasure.core.errors import ConfigError
from erasure.core.values import Meaning, MetricValue, NotComputableError, missing
from erasure.evaluation.pool_margins import Margins, pools
from erasure.evaluation.statistics.margin_divergence import BINS, EMPTY, gaussian_kl, histogram_kl

NAMES: Mapping[str, str] = {
    "mean": "Mean over samples of the divergence of margins from those of retrained models.",
    "p95": "95th percentile over samples of the divergence of margins from retrained models.",
    "excess": "The mean divergence minus that of retrained models from retrained models.",
    "gaussian": "Mean over samples of the divergence of normal distributions of the margins.",
}


@dataclass(frozen=True, kw_only=True)
class KLoM:
    """Divergence of margins over models, per sample, of unlearned from retrained models.

    The histogram estimate is far from zero between equal distributions, the farther the fewer
    models there are. All values therefore compare halves of the pools, and the value for the
    retrained model compares its two halves: it is the null, by as many models, and ``excess``
    has it subtracted. What the whole pools give, as it is published, is in the extras of the
    mean as ``all_models``; it is not comparable with the null.

    Args:
        min_models: Fewest models of a pool, at least 4.

    References:
        K. Georgiev et al., "Attribute-to-Delete: Machine Unlearning via Datamodel Matching",
        ICLR 2025, arXiv:2410.23232; 20 bins, margins cut off at +-100, empty bins 1e-5.
    """

    needs_roles: ClassVar[tuple[ReferenceRole, ...]] = ("original", "unlearned", "gold")
    min_models: int = 20

    def __post_init__(self) -> None:
        if self.min_models < 4:
            raise ConfigError(f"min_models must be >= 4, got {self.min_models}")

    def schema(self, heldout: str) -> Mapping[str, Meaning]:
        return {
            f"klom/{part}/{name}": _meaning(name, f"{text[:-1]}, on the {part} set.")
            for part in ("forget", "retain", heldout)
            for name, text in NAMES.items()
        }

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        return {
            f"klom/{part}/{name}": found
            for part in ctx.parts
            for name, found in self._values(ctx, part).items()
        }

    def _values(self, ctx: EvalContext, part: str) -> Mapping[str, MetricValue]:
        try:
            both, half = pools(ctx, part), self.min_models // 2
            pairs, reference = both.crossed(at_least=half), both.null(at_least=half)
            whole = both.compared(at_least=half)
        except NotComputableError as error:
            return dict.fromkeys(NAMES, missing(error.status, error.reason))
        found = _both_ways(pairs)
        mean, size = found.mean().item(), len(found)
        nothing = _both_ways((reference, _swapped(reference))).mean().item()
        extras = {"models": pairs[0].models, "clipped": pairs[0].clipped, "null": nothing}
        published = {
            "all_models": histogram_kl(whole.ours, whole.theirs).mean().item(),
            "all_models_count": whole.models,
        }
        normal = torch.stack([gaussian_kl(p.ours, p.theirs) for p in pairs]).mean().item()
        return {
            "mean": MetricValue(value=mean, n=size, extras={**extras, **published}),
            "p95": MetricValue(value=found.quantile(0.95).item(), n=size, extras=extras),
            "excess": MetricValue(value=mean - nothing, n=size, extras=extras),
            "gaussian": MetricValue(value=normal, n=size, extras={"models": pairs[0].models}),
        }


def _meaning(name: str, description: str) -> Meaning:
    largest = -math.log(EMPTY) + math.log1p(BINS * EMPTY)
    if name == "excess":
        return Meaning(
            direction="min", low=-largest, high=largest, ideal=0.0, description=description
        )
    high = math.inf if name == "gaussian" else largest
    return Meaning(
        direction="closer_to_gold", low=0.0, high=high, description=description, unit="nats"
    )


def _both_ways(pairs: tuple[Margins, Margins]) -> Tensor:
    """Return the mean of the divergences of two pairs, ``(n,)``."""
    return torch.stack([histogram_kl(pair.ours, pair.theirs) for pair in pairs]).mean(dim=0)


def _swapped(margins: Margins) -> Margins:
    return Margins(margins.theirs, margins.ours, margins.clipped)
