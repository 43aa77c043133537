"""The story of one trial: data, original, unlearned, gold, measurements, record."""

from contextlib import nullcontext
from functools import partial
from typing import cast

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console
from torch import nn

from erasure.config.build import build
from erasure.core.context import EvalContext, ReferenceModels, Who
from erasure.core.errors import ConfigError
from erasure.core.splits import DataSplits, View
from erasure.training.model_store import ModelStore, Trained
from erasure.training.tensor_cache import TensorCache
from erasure.trial.assemble import store_root
from erasure.trial.describe import describe
from erasure.trial.flops import counted_flops
from erasure.trial.guards import duplicates, output_change, untouched
from erasure.trial.models import obtain_trained
from erasure.trial.monitor import Monitor
from erasure.trial.output import TrialOutput
from erasure.trial.progress import Progress
from erasure.trial.recorded import Bench
from erasure.trial.references.pool import assembled_pool
from erasure.trial.table import show_address, show_result
from erasure.trial.trial import Trial
from erasure.trial.unlearning import unlearn


def run(cfg: DictConfig) -> float | tuple[float, ...]:
    """Run the trial that ``cfg`` asks for, or read it back, and return its objective.

    Raises:
        ErasureError: If a setting is wrong (then nothing was written), or the trial failed.
    """
    if cfg.threads < 1:
        raise ConfigError(f"threads must be >= 1, got {cfg.threads}")
    torch.set_num_threads(cfg.threads)
    choices = HydraConfig.get().runtime.choices if HydraConfig.initialized() else {}
    bench = Bench.of(cfg, describe(cfg, choices), Console())
    result = bench.result(partial(run_trial, monitor=_monitor(cfg)))
    show_result(result, bench.console)
    show_address(bench.tracker, bench.console)
    values = bench.parts.objective.values(result.metrics)
    return values[0] if len(values) == 1 else values


def run_trial(
    parts: Trial, store: ModelStore, watch: Progress, monitor: Monitor | None = None
) -> TrialOutput:
    """Carry out the stages of a trial; every model that is trained comes out of ``store``.

    A ``monitor`` may end it while the method runs.
    """
    obtained: list[tuple[str, Trained]] = []

    def obtain(view: View, role: str) -> tuple[nn.Module, Trained]:
        model, trained = obtain_trained(parts, store, view, watch, role)
        obtained.append((role, trained))
        return model, trained

    original, training = obtain(View(parts.pool, parts.indices.train), "original")
    if monitor is not None:
        monitor.prepare(parts, original, obtain(parts.remaining, "gold")[0])
    limit = nullcontext() if monitor is None else monitor.limiting()
    with watch.stage("unlearn", "unlearning") as report, limit:
        unlearned, facts = unlearn(
            parts,
            original,
            lambda view: obtain(view, "requested"),
            TensorCache(store.root),
            report,
            monitor,
        )
    models: dict[Who, nn.Module] = {"original": original, "unlearned": unlearned}
    facts["original_seconds"] = training.seconds
    if parts.evaluator.needs_gold:
        models["gold"], training = obtain(parts.remaining, "gold")
        facts["retrain_seconds"] = training.seconds
        facts["retrain_reads"] = float(len(training.curve) * len(parts.remaining))
        facts["retrain_steps"] = float(training.steps)
    facts.update(counted_flops(parts, original))

    splits = DataSplits.of(parts.evaluated, parts.indices, parts.probes)
    references = assembled_pool(parts, store, splits, watch)
    if references is not None:
        facts["reference_seconds"] = references.seconds
    ctx = parts.evaluator.prepare(_context(parts, splits, models, facts, references))
    with watch.stage("evaluate", "evaluating"), untouched(models, "a metric"):
        facts.update(output_change(ctx), **duplicates(splits, parts.evaluator.heldout))
        evaluation = parts.evaluator(ctx)
    return TrialOutput(
        splits=splits,
        ctx=ctx,
        evaluation=evaluation,
        keys={role: trained.key for role, trained in obtained},
        trained=sum(trained.fresh for _, trained in obtained)
        + (references.trained if references is not None else 0),
    )


def _context(
    parts: Trial,
    splits: DataSplits,
    models: dict[Who, nn.Module],
    facts: dict[str, float],
    references: ReferenceModels | None,
) -> EvalContext:
    return EvalContext(
        models=models,
        splits=splits,
        task_type=parts.pool.task_type,
        num_classes=parts.pool.num_classes,
        heldout=parts.evaluator.heldout,
        seed=parts.seeds.evaluate,
        costs=facts,
        batch_size=parts.evaluator.batch_size,
        fresh=parts.fresh,
        references=references,
    )


def _monitor(cfg: DictConfig) -> Monitor | None:
    """Build what watches the method, if the run belongs to a study; a study names it."""
    if not cfg.tuning.study:
        return None
    return cast("Monitor | None", build(cfg.tuning, "tuning", store=store_root(cfg)))
