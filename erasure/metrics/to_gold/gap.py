"""Distance of other metrics from their value for the retrained model."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.values import Meaning, MetricValue, NotComputableError, measure


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Absolute difference to the retrained model, per metric and on average.

    A small average can hide under-forgetting on one metric behind over-forgetting on another;
    the signed differences are in the extras. The average is NaN as soon as one gap is: a mean
    over fewer metrics would not be comparable.

    Args:
        of: Names of metrics measured before this one; ``heldout/accuracy`` means the accuracy
            on the held-out part in use, and so does ``heldout`` between other slashes.

    References:
        C. Fan et al., "SalUn", ICLR 2024, arXiv:2310.12508: the average gap.
    """

    of: Sequence[str]

    def __post_init__(self) -> None:
        check_names(self.of)

    def schema(self, heldout: str) -> Mapping[str, Meaning]:
        gaps = {
            f"gap/{name}": _schema(f"Distance of {name} from its value for the retrained model.")
            for name in self._names(heldout)
        }
        return {**gaps, "gap/avg": _schema(f"Mean of {', '.join(gaps)}.")}

    def __call__(self, ctx: EvalContext) -> Mapping[str, MetricValue]:
        names = self._names(ctx.heldout)
        gaps = {name: measure(partial(_gap, ctx, name)) for name in names}
        named = {f"gap/{name}": found for name, found in gaps.items()}
        return {**named, "gap/avg": measure(partial(_average, gaps))}

    def _names(self, heldout: str) -> list[str]:
        return [resolved(name, heldout) for name in self.of]


def check_names(names: Sequence[str]) -> None:
    """Check what is given as ``of``: names of metrics, each once.

    Raises:
        ConfigError: If it is something else.
    """
    if isinstance(names, str) or not names:
        raise ConfigError(f"of must be a list of metric names, got {names!r}")
    if len(set(names)) != len(names):
        raise ConfigError(f"of must be distinct names, got {list(names)}")


def resolved(name: str, heldout: str) -> str:
    """Return a metric's name with the held-out part in use in place of ``heldout``."""
    return "/".join(heldout if place == "heldout" else place for place in name.split("/"))


def _schema(description: str) -> Meaning:
    # How far two values can be apart depends on the metric, so there is no bound in general.
    return Meaning(direction="min", low=0.0, high=math.inf, ideal=0.0, description=description)


def _gap(ctx: EvalContext, name: str) -> MetricValue:
    own, gold = against_gold(ctx, name)
    signed = own - gold
    return MetricValue(value=abs(signed), extras={"signed": signed, "gold": gold})


def against_gold(ctx: EvalContext, name: str) -> tuple[float, float]:
    """Return what was measured of the subject and of the retrained model.

    Raises:
        NotComputableError: If there is no retrained model, or one of the values is missing.
    """
    if "gold" not in ctx.models:
        raise NotComputableError("skipped", "missing_gold")
    return ctx.measured(name).value, ctx.measured(name, "gold").value


def _average(gaps: Mapping[str, MetricValue]) -> MetricValue:
    for name, found in gaps.items():
        if found.status != "ok":
            gold = found.reason == "missing_gold"
            raise NotComputableError(
                found.status, found.reason if gold else f"{name}:{found.reason}"
            )
    signed = {name: found.extras["signed"] for name, found in gaps.items()}
    value = math.fsum(found.value for found in gaps.values()) / len(gaps)
    return MetricValue(value=value, n=len(gaps), extras={"signed": signed})
