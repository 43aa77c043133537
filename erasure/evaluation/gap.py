"""Distance of other metrics from their value for the retrained model."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Measured, MetricSchema, NotComputableError, measure

HELDOUT = "heldout/"
"""Prefix that stands for the held-out part in use, in names given to :class:`Gap`."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Absolute difference to the retrained model, per metric and on average.

    A small average can hide under-forgetting on one metric behind over-forgetting on another;
    the signed differences are in the extras. The average is NaN as soon as one gap is: a mean
    over fewer metrics would not be comparable.

    Args:
        of: Names of metrics measured before this one; ``heldout/accuracy`` means the accuracy
            on the held-out part in use.

    References:
        C. Fan et al., "SalUn", ICLR 2024, arXiv:2310.12508: the average gap.
    """

    of: Sequence[str]

    def __post_init__(self) -> None:
        if isinstance(self.of, str) or not self.of:
            raise ConfigError(f"of must be a list of metric names, got {self.of!r}")
        if len(set(self.of)) != len(self.of):
            raise ConfigError(f"of must be distinct names, got {list(self.of)}")

    def schema(self, heldout: str) -> Mapping[str, MetricSchema]:
        gaps = {
            f"gap/{name}": _schema(f"Distance of {name} from its value for the retrained model.")
            for name in self._names(heldout)
        }
        return {**gaps, "gap/avg": _schema(f"Mean of {', '.join(gaps)}.")}

    def __call__(self, ctx: EvalContext) -> Mapping[str, Measured]:
        names = self._names(ctx.heldout)
        gaps = {name: measure(partial(_gap, ctx, name)) for name in names}
        named = {f"gap/{name}": found for name, found in gaps.items()}
        return {**named, "gap/avg": measure(partial(_average, gaps))}

    def _names(self, heldout: str) -> list[str]:
        return [_resolve(name, heldout) for name in self.of]


def _resolve(name: str, heldout: str) -> str:
    return f"{heldout}/{name.removeprefix(HELDOUT)}" if name.startswith(HELDOUT) else name


def _schema(description: str) -> MetricSchema:
    # How far two values can be apart depends on the metric, so there is no bound in general.
    return MetricSchema(
        direction="min", low=0.0, high=math.inf, ideal=0.0, description=description
    )


def _gap(ctx: EvalContext, name: str) -> Measured:
    if "gold" not in ctx.models:
        raise NotComputableError("skipped", "missing_gold")
    own, gold = ctx.measured(name), ctx.measured(name, "gold")
    signed = own.value - gold.value
    return Measured(value=abs(signed), extras={"signed": signed, "gold": gold.value})


def _average(gaps: Mapping[str, Measured]) -> Measured:
    for name, found in gaps.items():
        if found.status != "ok":
            gold = found.reason == "missing_gold"
            raise NotComputableError(
                found.status, found.reason if gold else f"{name}:{found.reason}"
            )
    signed = {name: found.extras["signed"] for name, found in gaps.items()}
    value = math.fsum(found.value for found in gaps.values()) / len(gaps)
    return Measured(value=value, n=len(gaps), extras={"signed": signed})
