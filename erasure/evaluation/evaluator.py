"""Runs a set of metrics over the models of a trial."""

import logging
import math
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import torch

from erasure.core.context import EvalContext, Metric, Who
from erasure.core.errors import ConfigError
from erasure.core.seeding import stream
from erasure.core.values import Meaning, MetricValue, NotComputableError, missing
from erasure.evaluation.recording import recording

logger = logging.getLogger(__name__)

SUBJECTS: tuple[Who, ...] = ("original", "unlearned", "gold")
"""The models that are measured, in this order."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Everything measured in one evaluation.

    Args:
        results: Measured values by role and name.
        schema: The meaning of each name.
        errors: One line per metric and role that failed unexpectedly.
        tracebacks: The same errors in full.
    """

    results: Mapping[Who, Mapping[str, MetricValue]]
    schema: Mapping[str, Meaning]
    errors: tuple[str, ...] = ()
    tracebacks: tuple[str, ...] = ()

    def flat(self) -> dict[str, float]:
        """Return the finite values by tracking name.

        Values of the unlearned model go by their own name, ``forget/accuracy``, those of others
        under their role, ``gold/forget/accuracy``.
        """
        named = self._named().items()
        return {name: found.value for name, (_, found) in named if math.isfinite(found.value)}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data on every tracking name, computable or not.

        NaN and infinity, which JSON lacks, become null: a value that could not be computed, an
        open end of a range, an interval that is not known.
        """
        return {name: _entry(self.schema[key], m) for name, (key, m) in self._named().items()}

    def _named(self) -> dict[str, tuple[str, MetricValue]]:
        return {
            key if who == "unlearned" else f"{who}/{key}": (key, found)
            for who, results in self.results.items()
            for key, found in results.items()
        }


@dataclass(frozen=True, kw_only=True)
class Evaluator:
    """Measure the original, the unlearned and the retrained model with the same metrics.

    A metric that fails gives NaN for its names and a note in :attr:`Evaluation.errors`; the
    others go on.

    Args:
        metrics: The metrics by a label of the user's; a metric may use what those before it
            measured.
        heldout: The held-out part to look at: ``val`` while tuning, ``test`` to report.
        needs_gold: Whether the experiment shall provide the retrained model; without it what is
            relative to it is skipped with a reason.
        needs_references: Whether to refuse a trial without reference models (``references.size``).
        max_retain: Evaluate at most this many retain samples, drawn by the evaluation seed.
        batch_size: Samples per forward pass.

    Raises:
        ConfigError: If a setting is out of range, or two metrics measure the same name.
    """

    metrics: Mapping[str, Metric]
    heldout: Literal["test", "val"] = "test"
    needs_gold: bool = True
    needs_references: bool = False
    max_retain: int | None = None
    batch_size: int = 1024

    def __post_init__(self) -> None:
        if not self.metrics:
            raise ConfigError("metrics must name at least one metric")
        if self.heldout not in ("test", "val"):
            raise ConfigError(f"heldout must be test or val, got {self.heldout!r}")
        if self.max_retain is not None and self.max_retain < 1:
            raise ConfigError(f"max_retain must be >= 1 or null, got {self.max_retain}")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size must be >= 1, got {self.batch_size}")
        _merged(self.metrics, self.heldout)

    @property
    def roles(self) -> frozenset[str]:
        """Roles of reference models that a metric asks for by ``needs_roles``."""
        asked = (getattr(metric, "needs_roles", ()) for metric in self.metrics.values())
        return frozenset(role for roles in asked for role in roles)

    def prepare(self, ctx: EvalContext) -> EvalContext:
        """Return the context that is evaluated: this held-out part, a subset of retain.

        Probes lose the samples of the other held-out part.

        Preparing twice changes nothing more, so whoever wants tables or pictures of the same
        samples prepares first and shares the forward passes with the evaluation.
        """
        ctx = replace(ctx, heldout=self.heldout, batch_size=self.batch_size)
        ctx = _without_the_other(ctx, "val" if self.heldout == "test" else "test")
        if ctx.recorder is None and any(
            getattr(metric, "needs_features", False) for metric in self.metrics.values()
        ):
            # Logits without features would make a second forward pass necessary: begin anew.
            ctx = replace(ctx, recorder=recording, _cache={}, _features={})
        size = len(ctx.splits.retain)
        if self.max_retain is None or size <= self.max_retain:
            return ctx
        order = torch.randperm(size, generator=stream(ctx.seed, "evaluate", "retain"))
        retain = ctx.splits.retain.take(order[: self.max_retain].sort().values)
        # What was computed on the whole retain set is not aligned with the subset.
        return replace(
            ctx,
            splits=replace(ctx.splits, retain=retain),
            _cache={key: found for key, found in ctx._cache.items() if key[0] != "retain"},
            _features={key: found for key, found in ctx._features.items() if key[0] != "retain"},
        )

    def __call__(self, ctx: EvalContext) -> Evaluation:
        """Measure every model of ``ctx`` and note the values in ``ctx.results``."""
        ctx = self.prepare(ctx)
        subjects = [who for who in SUBJECTS if who in ctx.models]
        ctx.results.update({who: {} for who in subjects})
        failures: list[_Failure] = []
        for label, metric in self.metrics.items():
            for who in subjects:
                ctx.results[who].update(_run(label, metric, ctx.of(who), failures))
        results = {who: dict(ctx.results[who]) for who in subjects}
        schema = _merged(self.metrics, self.heldout)
        return Evaluation(
            results=results,
            schema=schema,
            errors=tuple(failure.line for failure in failures),
            tracebacks=tuple(failure.traceback for failure in failures),
        )


def _without_the_other(ctx: EvalContext, other: str) -> EvalContext:
    """Take the samples of the ``other`` held-out part out of the probes."""
    unseen = ctx.splits.part(other).index
    probes = {
        name: view.take(~torch.isin(view.index, unseen.to(view.index.device)))
        for name, view in ctx.splits.probes.items()
    }
    cut = [name for name, view in probes.items() if len(view) < len(ctx.splits.probes[name])]
    if not cut:
        return ctx
    return replace(
        ctx,
        splits=replace(ctx.splits, probes=probes),
        _cache={key: found for key, found in ctx._cache.items() if key[0] not in cut},
        _features={key: found for key, found in ctx._features.items() if key[0] not in cut},
    )


class _Failure(NamedTuple):
    line: str
    traceback: str


def _merged(metrics: Mapping[str, Metric], heldout: str) -> dict[str, Meaning]:
    owners: dict[str, str] = {}
    merged: dict[str, Meaning] = {}
    for label, metric in metrics.items():
        for name, meaning in metric.schema(heldout).items():
            if name in merged:
                both = f"{owners[name]} and {label}"
                raise ConfigError(f"metrics must measure distinct names, got {name} from {both}")
            owners[name], merged[name] = label, meaning
    return merged


def _run(
    label: str, metric: Metric, ctx: EvalContext, failures: list[_Failure]
) -> Mapping[str, MetricValue]:
    schema = metric.schema(ctx.heldout)
    try:
        found = metric(ctx)
        _check_names(found, schema)
    except NotComputableError as error:
        return dict.fromkeys(schema, missing(error.status, error.reason))
    except Exception as error:  # one broken metric must not cost the others
        logger.exception("metric %s failed on the %s model", label, ctx.subject)
        line = f"metric {label} on the {ctx.subject} model: {type(error).__name__}: {error}"
        failures.append(_Failure(line, traceback.format_exc()))
        return dict.fromkeys(schema, missing("error", type(error).__name__))
    return found


def _check_names(found: Mapping[str, MetricValue], schema: Mapping[str, Meaning]) -> None:
    if found and set(found) != set(schema):  # a metric may have nothing to say on a subject
        raise ValueError(f"measured {sorted(found)}, but the schema names {sorted(schema)}")


def _entry(meaning: Meaning, found: MetricValue) -> dict[str, Any]:
    entry = {
        "value": found.value,
        "status": found.status,
        "reason": found.reason,
        "direction": meaning.direction,
        "range": [meaning.low, meaning.high],
        "ideal": meaning.ideal,
        "unit": meaning.unit,
        "ci": None if math.isnan(found.ci_low) else [found.ci_low, found.ci_high],
        "n": found.n,
        "extras": found.extras,
        "description": meaning.description,
    }
    return {key: _plain(value) for key, value in entry.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
