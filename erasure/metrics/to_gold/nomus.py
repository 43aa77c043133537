"""One score for accuracy and for an attack that fails."""

from collections.abc import Mapping
from dataclasses import dataclass

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Value, share
from erasure.core.values import MetricValue, NotComputableError
from erasure.metrics.to_gold.gap import resolved


@dataclass(frozen=True, kw_only=True)
class NoMUS:
    """Normalized machine unlearning score: accuracy and failure of an attack, weighted.

    ``weight * accuracy + (1 - weight) * (1 - 2 |attack - 0.5|)``. It knows no retrained model:
    an accuracy above that of the retrained model counts in favor, and an attack below chance
    counts as one above it.

    Args:
        accuracy: Name of the accuracy, measured before; ``heldout`` stands for the held-out part.
        attack: Name of the attack's accuracy, measured before; 0.5 is chance.
        weight: Weight of the accuracy, in [0, 1].

    References:
        D. Choi and D. Na, "Towards Machine Unlearning Benchmarks: Forgetting the Personal
        Identities in Facial Recognition Systems", 2023, arXiv:2311.02240.
    """

    accuracy: str = "heldout/accuracy"
    attack: str = "umia_lr/accuracy"
    weight: float = 0.5

    def __post_init__(self) -> None:
        for field in ("accuracy", "attack"):
            if not getattr(self, field):
                raise ConfigError(f"{field} must be the name of a metric, got nothing")
        if not 0.0 <= self.weight <= 1.0:
            raise ConfigError(f"weight must be in [0, 1], got {self.weight}")

    def values(self, parts: Parts) -> Mapping[str, Value]:
        accuracy, attack = (resolved(n, parts.heldout) for n in (self.accuracy, self.attack))
        description = f"Weighted mean of {accuracy} and of how close {attack} is to chance."
        return {"nomus/score": Value(share("max", description), self._score)}

    def _score(self, ctx: EvalContext) -> MetricValue:
        names = [resolved(name, ctx.heldout) for name in (self.accuracy, self.attack)]
        accuracy, attack = (ctx.measured(name).value for name in names)
        for name, value in zip(names, (accuracy, attack), strict=True):
            if not 0.0 <= value <= 1.0:
                raise NotComputableError("degenerate", f"not_a_share:{name}")
        failure = 1 - 2 * abs(attack - 0.5)
        value = self.weight * accuracy + (1 - self.weight) * failure
        return MetricValue(value=value, extras={"accuracy": accuracy, "attack": attack})
