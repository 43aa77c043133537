"""``erasure.evaluate``: metrics of models and data of one's own."""

import logging
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import nn

from erasure.api.data import views_of
from erasure.api.devices import device_of, on_device
from erasure.api.recipe import Build, OwnRecipe
from erasure.api.result import EvaluationResult
from erasure.api.samples import Data
from erasure.api.surroundings import undisturbed
from erasure.config.options import build_option
from erasure.core.context import EvalContext, Who
from erasure.core.errors import ConfigError
from erasure.core.metric import Metric
from erasure.core.splits import DataSplits, View
from erasure.core.task_types import TaskType
from erasure.evaluation.evaluator import Evaluator
from erasure.trial.guards import duplicates, output_change, relative_change, untouched

# a metric that fails is told by the result, and nothing is shown unless somebody wants the log
logging.getLogger("erasure").addHandler(logging.NullHandler())

ABOUT_TRIALS = (
    "cost",
    "objectives",
    "same_population",
    "interclass_confusion",
    "backdoor_verify",
    "one_run_audit",
    "gap_z",
    "null_band",
)
"""Metrics of ``evaluator=standard`` that need what only a trial has: what unlearning took, how its
split chose, mislabelled or marked the samples to forget, and many models of one recipe."""

Metrics = Sequence[str | Metric] | Mapping[str, str | Metric]
"""Names of ``conf/metric/*.yaml``, or objects; a mapping gives them labels of its own."""


def evaluate(
    model: nn.Module,
    original: nn.Module | None = None,
    *,
    forget: Data,
    retain: Data,
    test: Data | None = None,
    val: Data | None = None,
    gold: nn.Module | None = None,
    metrics: Metrics | None = None,
    fresh: Build | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    batch_size: int = 1024,
) -> EvaluationResult:
    """Measure an unlearned model, and with the same metrics what it is compared with.

    Nothing is stored, tracked, written or shown, and no global state is changed. What cannot be
    computed is not among the numbers; ``result.not_computed`` has the reason.

    Args:
        model: The unlearned network, from a batch of inputs to logits ``(B, C)``.
        original: The network before it forgot.
        forget: What was to be forgotten.
        retain: The rest of what the original was trained on.
        test: Samples that no model was trained on.
        val: The same, to look at instead of ``test`` while settings are chosen: without ``test``
            the names are ``val/accuracy`` and so on.
        gold: The network trained without ``forget``, which unlearning is to come near.
        metrics: What to measure; None for the metrics of ``evaluator=standard`` that need no
            trial.
        fresh: Builds the network with untrained weights, for metrics that compare with one.
        seed: Moves the draws of metrics that draw.
        device: Where to work; None for where ``model`` is.
        batch_size: Samples per forward pass.

    Returns:
        A mapping from the names of metrics to numbers.

    Raises:
        ErasureError: With one message, if something is missing or wrong, or a metric changed a
            model.

    Example:
        >>> import torch, erasure
        >>> model, original = torch.nn.Linear(4, 3), torch.nn.Linear(4, 3)
        >>> x, y = torch.randn(60, 4), torch.arange(60) % 3
        >>> result = erasure.evaluate(
        ...     model, original, forget=(x[:20], y[:20]), retain=(x[20:40], y[20:40]),
        ...     test=(x[40:], y[40:]), metrics=["accuracy", "ua"],
        ... )
        >>> sorted(result)
        ['forget/accuracy', 'retain/accuracy', 'test/accuracy', 'ua/forget']
        >>> 0 <= result.original["test/accuracy"] <= 1
        True
        >>> result.gold
        {}
    """
    heldout: Literal["test", "val"] = "val" if test is None else "test"
    data = test if test is not None else val
    if data is None:
        raise ConfigError("test must be samples that no model was trained on, or val; got neither")
    with undisturbed(seed):
        models = _models(model, original, gold, device)
        views = views_of(
            {"forget": forget, "retain": retain, heldout: data},
            models["unlearned"],
            device_of(models["unlearned"]),
        )
        evaluator = Evaluator(
            metrics=_metrics(metrics, views["forget"].pool.task_type),
            heldout=heldout,
            needs_gold=False,
            batch_size=batch_size,
        )
        costs: dict[str, float] = {}
        ctx = evaluator.prepare(_context(models, views, heldout, fresh, seed, costs))
        with untouched(models, "a metric"):
            # into the dictionary that the context holds, from which guard metrics read it
            costs |= _changes(ctx)
            return EvaluationResult(evaluator(ctx))


def _metrics(metrics: Metrics | None, task_type: TaskType) -> dict[str, Metric]:
    if metrics is None:
        standard: Evaluator = build_option("evaluator", "standard")
        # of samples with one label it would say of each of its numbers that there is none
        left_out = {*ABOUT_TRIALS, *(() if task_type.name == "multilabel" else ("multilabel",))}
        return {n: metric for n, metric in standard.metrics.items() if n not in left_out}
    if isinstance(metrics, str):
        raise ConfigError(f"metrics must be a list of names or objects, got {metrics!r}")
    if not isinstance(metrics, Mapping):
        labels = [m if isinstance(m, str) else type(m).__name__ for m in metrics]
        if len(set(labels)) < len(labels):
            raise ConfigError("metrics must be a mapping where two are of one kind")
        metrics = dict(zip(labels, metrics, strict=True))
    return {
        label: build_option("metric", metric) if isinstance(metric, str) else metric
        for label, metric in metrics.items()
    }


def _models(
    model: nn.Module,
    original: nn.Module | None,
    gold: nn.Module | None,
    device: str | torch.device | None,
) -> dict[Who, nn.Module]:
    unlearned = on_device(model, device)
    models: dict[Who, nn.Module] = {"unlearned": unlearned}
    if original is not None:
        models["original"] = on_device(original, device_of(unlearned))
    if gold is not None:
        models["gold"] = on_device(gold, device_of(unlearned))
    return models


def _context(
    models: dict[Who, nn.Module],
    views: Mapping[str, View],
    heldout: Literal["test", "val"],
    fresh: Build | None,
    seed: int,
    costs: dict[str, float],
) -> EvalContext:
    pool = views["forget"].pool
    # of the other held-out part there is nothing, and no metric may look at it
    nothing = View(pool, views["forget"].index[:0])
    recipe = OwnRecipe(
        method="a metric",
        original=models["unlearned"],
        build=fresh,
        trainer=None,
        seed=seed,
        task_type=pool.task_type,
    )
    return EvalContext(
        models=models,
        splits=DataSplits(
            forget=views["forget"],
            retain=views["retain"],
            val=views.get("val", nothing),
            test=views.get("test", nothing),
        ),
        task_type=pool.task_type,
        num_classes=pool.num_classes,
        heldout=heldout,
        seed=seed,
        costs=costs,
        fresh=None if fresh is None else recipe.fresh,
    )


def _changes(ctx: EvalContext) -> dict[str, float]:
    """Return how far unlearning moved the model, and how many samples occur more than once."""
    changes = output_change(ctx) | duplicates(ctx.splits, ctx.heldout)
    if "original" not in ctx.models:
        return changes
    change = relative_change(ctx.models["original"], ctx.models["unlearned"])
    return changes if change is None else {**changes, "relative_weight_change": change}
