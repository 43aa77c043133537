"""Runs a set of metrics over the models of a trial."""

import logging
import traceback
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from erasure.core.context import EvalContext, Recorded, Who
from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.metric import Metric
from erasure.core.seeding import stream
from erasure.core.values import Meaning, MetricValue, not_computed
from erasure.evaluation.evaluation import Evaluation
from erasure.evaluation.measure import meanings, measure
from erasure.models.layers import head, recorded_features

logger = logging.getLogger(__name__)

_Key = TypeVar("_Key", bound=tuple[str, str])

SUBJECTS: tuple[Who, ...] = ("original", "unlearned", "gold")
"""The models that are measured, in this order."""


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
        # For its check that no name is measured twice; the meanings are merged again when needed.
        _merged(self.metrics, self.heldout)

    @property
    def roles(self) -> frozenset[str]:
        """Roles of reference models that a metric asks for by ``needs_roles``."""
        needed = (getattr(metric, "needs_roles", ()) for metric in self.metrics.values())
        return frozenset(role for roles in needed for role in roles)

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
            ctx = replace(ctx, recorder=_record_features, _cache={}, _features={})
        size = len(ctx.splits.retain)
        if self.max_retain is None or size <= self.max_retain:
            return ctx
        order = torch.randperm(size, generator=stream(ctx.seed, "evaluate", "retain"))
        retain = ctx.splits.retain.take(order[: self.max_retain].sort().values)
        # What was computed on the whole retain set is not aligned with the subset.
        return replace(
            ctx,
            splits=replace(ctx.splits, retain=retain),
            _cache=_without(ctx._cache, ["retain"]),
            _features=_without(ctx._features, ["retain"]),
        )

    def __call__(self, ctx: EvalContext) -> Evaluation:
        """Measure every model of ``ctx`` and note the values in ``ctx.results``."""
        ctx = self.prepare(ctx)
        subjects = [who for who in SUBJECTS if who in ctx.models]
        # Emptied first: no metric may read what an earlier evaluation measured.
        ctx.results.update({who: {} for who in subjects})
        failures: list[_Failure] = []
        for label, metric in self.metrics.items():
            for who in subjects:
                ctx.results[who].update(_run(label, metric, ctx.of(who), failures))
        results = {who: dict(ctx.results[who]) for who in subjects}
        return Evaluation(
            results=results,
            meanings=_merged(self.metrics, self.heldout),
            errors=tuple(failure.line for failure in failures),
            tracebacks=tuple(failure.traceback for failure in failures),
        )


def _without_the_other(ctx: EvalContext, other: str) -> EvalContext:
    """Take the samples of the ``other`` held-out part out of the probes.

    A split makes probes of all held-out samples. Without this, tuning on ``val`` would look at
    samples of ``test``.
    """
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
        _cache=_without(ctx._cache, cut),
        _features=_without(ctx._features, cut),
    )


def _without(cache: dict[_Key, Tensor], parts: Collection[str]) -> dict[_Key, Tensor]:
    """Return what was computed on other parts than these."""
    return {key: tensor for key, tensor in cache.items() if key[0] not in parts}


@contextmanager
def _record_features(model: nn.Module) -> Iterator[Recorded | None]:
    """Record what goes into the head of ``model``, or nothing if it has no single head."""
    try:
        head(model)
    except UnsupportedError:
        yield None
        return
    with recorded_features(model) as features:
        yield features


class _Failure(NamedTuple):
    line: str
    traceback: str


def _merged(metrics: Mapping[str, Metric], heldout: Literal["test", "val"]) -> dict[str, Meaning]:
    owners: dict[str, str] = {}
    merged: dict[str, Meaning] = {}
    for label, metric in metrics.items():
        for name, meaning in meanings(metric, heldout).items():
            if name in merged:
                both = f"{owners[name]} and {label}"
                raise ConfigError(f"metrics must measure distinct names, got {name} from {both}")
            owners[name], merged[name] = label, meaning
    return merged


def _run(
    label: str, metric: Metric, ctx: EvalContext, failures: list[_Failure]
) -> dict[str, MetricValue]:
    try:
        return measure(metric, ctx)
    except Exception as error:  # one broken metric must not cost the others
        logger.exception("metric %s failed on the %s model", label, ctx.subject)
        line = f"metric {label} on the {ctx.subject} model: {type(error).__name__}: {error}"
        failures.append(_Failure(line, traceback.format_exc()))
        reason = not_computed("error", type(error).__name__)
        return dict.fromkeys(meanings(metric, ctx.heldout), reason)
