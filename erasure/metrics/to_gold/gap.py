"""Distance of other metrics from their value for the retrained model."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from erasure.core.context import EvalContext
from erasure.core.errors import ConfigError
from erasure.core.metric import Parts, Value, distance
from erasure.core.values import MetricValue, NotComputableError


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
        C. Fan et al., "SalUn: Empowering Machine Unlearning via Gradient-based Weight Saliency
        in Both Image Classification and Generation", ICLR 2024, arXiv:2310.12508: the average
        gap.
    """

    of: Sequence[str]

    def __post_init__(self) -> None:
        check_names(self.of)

    def values(self, parts: Parts) -> Mapping[str, Value]:
        names = [resolved(name, parts.heldout) for name in self.of]
        # How far two values can be apart depends on the metric, so there is no bound in general.
        gaps = {
            f"gap/{name}": Value(
                distance(f"Distance of {name} from its value for the retrained model."),
                partial(_gap, name),
            )
            for name in names
        }
        average = Value(distance(f"Mean of {', '.join(gaps)}."), partial(_average, names))
        return {**gaps, "gap/avg": average}


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
    return "/".join(heldout if part == "heldout" else part for part in name.split("/"))


def _gap(name: str, ctx: EvalContext) -> MetricValue:
    value, gold = subject_and_gold(ctx, name)
    signed = value - gold
    return MetricValue(value=abs(signed), extras={"signed": signed, "gold": gold})


def subject_and_gold(ctx: EvalContext, name: str) -> tuple[float, float]:
    """Return what was measured of the subject, and of the retrained model.

    Raises:
        NotComputableError: If there is no retrained model, or one of the values is missing.
    """
    if "gold" not in ctx.models:
        raise NotComputableError("skipped", "missing_gold")
    return ctx.measured(name).value, ctx.measured(name, "gold").value


def _average(names: Sequence[str], ctx: EvalContext) -> MetricValue:
    signed = {}
    for name in names:
        try:
            value, gold = subject_and_gold(ctx, name)
        except NotComputableError as error:
            # Without the retrained model all gaps are missing, and no metric is to blame.
            all_missing = error.reason == "missing_gold"
            reason = error.reason if all_missing else f"{name}:{error.reason}"
            raise NotComputableError(error.status, reason, error.counts) from error
        signed[name] = value - gold
    value = math.fsum(abs(difference) for difference in signed.values()) / len(signed)
    return MetricValue(value=value, n=len(signed), extras={"signed": signed})
