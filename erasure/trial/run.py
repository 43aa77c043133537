"""The story of one trial: data, original, unlearned, gold, measurements."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

from torch import nn

from erasure.core.context import EvalContext, Who
from erasure.core.splits import DataSplits
from erasure.evaluation.evaluation import Evaluation
from erasure.training.model_store import ModelStore
from erasure.training.tensor_cache import TensorCache
from erasure.trial.flops import count_flops
from erasure.trial.guards import duplicates, output_change, untouched
from erasure.trial.models import TrialModels
from erasure.trial.progress import Monitor, Progress
from erasure.trial.references.grow import reference_models
from erasure.trial.trial import Trial
from erasure.trial.unlearning import unlearn


@dataclass(frozen=True, kw_only=True)
class TrialOutput:
    """What the stages of a trial hand over to its record.

    Args:
        splits: The data, all of it.
        ctx: Models, the data that were evaluated, and cached logits.
        evaluation: The measurements.
        keys: Store keys of the models used, by role.
        trained: Number of models that had to be trained.
    """

    splits: DataSplits
    ctx: EvalContext
    evaluation: Evaluation
    keys: Mapping[str, str]
    trained: int


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
    original = models.trained("original", trial.data.train)
    unlearned, method_costs = _unlearned(trial, original, models, monitor)
    compared: dict[Who, nn.Module] = {"original": original, "unlearned": unlearned}
    if trial.evaluator.needs_gold:
        compared["gold"] = models.trained("gold", trial.data.retain)
    references = reference_models(trial, store, progress)  # usually none
    costs = {**method_costs, **models.costs(), **count_flops(trial, original)}
    if references is not None:
        costs["reference_seconds"] = references.seconds
    ctx = trial.context(compared, costs=costs, fresh=trial.fresh, references=references)
    evaluation = _evaluation(trial, ctx, costs, progress)
    trained = models.fresh + (references.trained if references is not None else 0)
    return TrialOutput(
        splits=trial.data.parts, ctx=ctx, evaluation=evaluation, keys=models.keys, trained=trained
    )


def _unlearned(
    trial: Trial, original: nn.Module, models: TrialModels, monitor: Monitor | None
) -> tuple[nn.Module, dict[str, float]]:
    """Run the method, under the eyes of ``monitor``, which has to know gold beforehand."""
    if monitor is not None:
        monitor.prepare(trial, original, models.trained("gold", trial.data.retain))
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


def _evaluation(
    trial: Trial, ctx: EvalContext, costs: dict[str, float], progress: Progress
) -> Evaluation:
    """Measure on ``ctx``, which may hold a subset of the data, unlike ``trial``."""
    with progress.stage("evaluate", "evaluating"), untouched(ctx.models, "a metric"):
        # into the dictionary that the context holds: cost metrics read these as well
        costs |= output_change(ctx) | duplicates(trial.data.parts, trial.evaluator.heldout)
        return trial.evaluator(ctx)
