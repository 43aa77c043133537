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
from erasure.core.context import EvalContext, Who
from erasure.core.errors import ConfigError
from erasure.core.references import ReferenceModels
from erasure.core.splits import DataSplits, View
from erasure.evaluation.evaluation import Evaluation
from erasure.training.model_store import ModelStore
from erasure.training.tensor_cache import TensorCache
from erasure.trial.assemble import assemble, store_root
from erasure.trial.describe import describe
from erasure.trial.flops import count_flops
from erasure.trial.guards import duplicates, output_change, untouched
from erasure.trial.models import TrialModels
from erasure.trial.progress import Monitor, Progress
from erasure.trial.recorded import TrialStores, run_recorded
from erasure.trial.references.grow import reference_models
from erasure.trial.table import show_address, show_result
from erasure.trial.trial import Trial, TrialOutput
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
    record = describe(cfg, choices)
    stores = TrialStores.of(cfg, Console())
    trial = assemble(cfg)
    stores.check()
    run_stages = partial(run_trial, monitor=_monitor(cfg))
    result = run_recorded(trial, record, cfg, stores, run_stages)
    show_result(result, stores.console)
    show_address(stores.tracker, stores.console)
    values = trial.objective.values(result.metrics)
    return values[0] if len(values) == 1 else values


def run_trial(
    trial: Trial, store: ModelStore, progress: Progress, monitor: Monitor | None = None
) -> TrialOutput:
    """Carry out the stages of a trial; every model that is trained comes out of ``store``.

    Args:
        trial: The trial.
        store: The trained models.
        progress: Shows the stages.
        monitor: Hears of the method while it runs, and may end it.

    Raises:
        ErasureError: If a stage failed, or ``monitor`` ended the method before its time.
    """
    models = TrialModels(trial=trial, store=store, progress=progress)
    original, _ = models.get("original", View(trial.pool, trial.indices.train))
    unlearned, costs = _unlearn(trial, original, models, monitor)
    compared: dict[Who, nn.Module] = {"original": original, "unlearned": unlearned}
    if trial.evaluator.needs_gold:
        compared["gold"], _ = models.get("gold", trial.remaining)
    costs |= models.costs() | count_flops(trial, original)
    splits = DataSplits.of(trial.evaluated, trial.indices, trial.probes)
    references = reference_models(trial, store, splits, progress)  # usually none
    if references is not None:
        costs["reference_seconds"] = references.seconds
    ctx = trial.evaluator.prepare(_context(trial, splits, compared, costs, references))
    evaluation = _evaluate(trial, ctx, splits, costs, progress)
    trained = models.fresh + (references.trained if references is not None else 0)
    return TrialOutput(
        splits=splits, ctx=ctx, evaluation=evaluation, keys=models.keys, trained=trained
    )


def _unlearn(
    trial: Trial, original: nn.Module, models: TrialModels, monitor: Monitor | None
) -> tuple[nn.Module, dict[str, float]]:
    """Run the method, under the eyes of ``monitor``, which has to know gold beforehand."""
    if monitor is not None:
        monitor.prepare(trial, original, models.get("gold", trial.remaining)[0])
    limit = nullcontext() if monitor is None else monitor.limiting()
    with models.progress.stage("unlearn", "unlearning") as report, limit:
        return unlearn(
            trial,
            original,
            partial(models.get, "requested"),
            TensorCache(models.store.root),
            report,
            monitor,
        )


def _context(
    trial: Trial,
    splits: DataSplits,
    models: dict[Who, nn.Module],
    costs: dict[str, float],
    references: ReferenceModels | None,
) -> EvalContext:
    return EvalContext(
        models=models,
        splits=splits,
        task_type=trial.pool.task_type,
        num_classes=trial.pool.num_classes,
        heldout=trial.evaluator.heldout,
        seed=trial.seeds.evaluate,
        costs=costs,
        batch_size=trial.evaluator.batch_size,
        fresh=trial.fresh,
        references=references,
    )


def _evaluate(
    trial: Trial,
    ctx: EvalContext,
    splits: DataSplits,
    costs: dict[str, float],
    progress: Progress,
) -> Evaluation:
    """Measure; ``splits`` are the whole ones, of which ``ctx`` may hold a subset."""
    with progress.stage("evaluate", "evaluating"), untouched(ctx.models, "a metric"):
        # into the dictionary that the context holds: cost metrics read these as well
        costs |= output_change(ctx) | duplicates(splits, trial.evaluator.heldout)
        return trial.evaluator(ctx)


def _monitor(cfg: DictConfig) -> Monitor | None:
    """Build what watches the method, if the run belongs to a study; a study names it."""
    if not cfg.tuning.study:
        return None
    return cast("Monitor | None", build(cfg.tuning, "tuning", store=store_root(cfg)))
