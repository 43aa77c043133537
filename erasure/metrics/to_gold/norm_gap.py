"""Distance from the retrained model in units of the distance that there was to begin with."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Value, distance
from erasure.core.values import MetricValue, NotComputableError
from erasure.evaluation.per_model import per_model
from erasure.metrics.to_gold.gap import check_names, resolved, subject_and_gold

ENOUGH_GOLDS = 5
"""Retrained models from which on their spread is known."""


@dataclass(frozen=True, kw_only=True)
class NormalizedGap:
    """Gap to the retrained model over the gap of the original, per metric.

    0 is as good as retraining, 1 no better than doing nothing, and more than 1 over- or
    undershot. The extras hold the signed difference, the ratio to the retrained model's value
    (``retention``) and the symmetric relative error (``sape``). Where original and retrained
    model hardly differ the quotient means nothing, and there is no value: this is usual for
    random forget sets of samples that were not memorized (``not_discriminative``).

    Args:
        of: Names of metrics measured before this one; ``heldout`` stands for the held-out part.
        min_contrast: Smallest difference between original and retrained model that counts, > 0.
            With five retrained reference models or more it is at least two standard deviations
            between them, for accuracies and the loss attack.

    References:
        X. Cadet et al., "Deep Unlearn: Benchmarking Machine Unlearning", 2024,
        arXiv:2410.01276: retention and relative errors.
    """

    of: Sequence[str]
    min_contrast: float = 0.005

    def __post_init__(self) -> None:
        check_names(self.of)
        if not 0.0 < self.min_contrast < math.inf:
            raise ConfigError(f"min_contrast must be > 0, got {self.min_contrast}")

    def values(self, parts: Parts) -> Mapping[str, Value]:
        description = "Distance of {} from the retrained model over that of the original."
        names = [resolved(name, parts.heldout) for name in self.of]
        return {
            f"norm_gap/{name}": Value(distance(description.format(name)), partial(self._gap, name))
            for name in names
        }

    def _gap(self, name: str, ctx: EvalContext) -> MetricValue:
        value, gold = subject_and_gold(ctx, name)
        contrast = ctx.measured(name, "original").value - gold
        if abs(contrast) < self._least_contrast(ctx, name):
            raise NotComputableError("degenerate", "not_discriminative")
        extras: dict[str, Any] = {"signed": value - gold, "gold": gold, "contrast": contrast}
        if gold != 0:
            extras["retention"] = value / gold
        # Both 0: no relative error, though no gap either.
        if size := abs(value) + abs(gold):
            extras["sape"] = abs(value - gold) / size
        return MetricValue(value=abs(value - gold) / abs(contrast), extras=extras)

    def _least_contrast(self, ctx: EvalContext, name: str) -> float:
        values = per_model(ctx.heldout).get(name)
        if values is None or ctx.references is None or ctx.references.size("gold") < ENOUGH_GOLDS:
            return self.min_contrast
        return max(self.min_contrast, 2 * values(ctx, "gold").std().item())
