"""The stage in which a method runs, with its cost measured."""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from erasure.core.fingerprint import (
    RESULTS_VERSION,
    fingerprint,
    model_fingerprint,
    tensor_fingerprint,
)
from erasure.core.seeding import isolated, stream
from erasure.core.source import source_hash
from erasure.core.splits import SplitIndices, View
from erasure.core.task import Report, UnlearningTask
from erasure.data.pools.through import AuditedPool, unaudited
from erasure.training.compute import ComputeCost, measured_cost, warm_up
from erasure.training.model_store import Trained
from erasure.training.tensor_cache import TensorCache
from erasure.trial.causes import pool_code
from erasure.trial.guards import relative_change, require_effect, untouched
from erasure.trial.models import counted_steps
from erasure.trial.progress import Monitor
from erasure.trial.requests import ForgetRequest, forget_requests
from erasure.trial.trial import Trial

GetOrTrain = Callable[[View], tuple[nn.Module, Trained]]
"""Returns the model trained on a view, out of the store or trained now."""


def unlearn(
    trial: Trial,
    original: nn.Module,
    get_or_train: GetOrTrain,
    cache: TensorCache,
    report: Report,
    monitor: Monitor | None = None,
) -> tuple[nn.Module, dict[str, float]]:
    """Run the method on a copy of ``original`` and return its model with what that cost.

    The time of models that come through the store is the time of their training, whenever that
    was, instead of the time spent on the store; their passes and steps are accounted likewise.
    Where a split asks in several requests, each starts from the model the one before left, and
    what was not asked for yet is still part of what is retained.

    Raises:
        DivergedError: If a weight is not finite.
        PrunedError: If ``monitor`` ended it.
        NoOpError: If nothing changed, unless the method is ``identity``.
        ErasureError: If the method changed the original itself.
    """
    audited = AuditedPool.watch(trial.data.pool)
    account = _Account(audited, get_or_train, cache, trial.device)
    requests = forget_requests(trial.data.indices, audited, trial.data.retain)
    model, compute_costs = original, list[ComputeCost]()
    reported = _LastReported(report)
    warm_up(trial.device)
    with counted_steps() as steps:
        for request in requests:
            task = _task(trial, account, model, request, request.continuing(reported))
            if monitor is not None:
                task = replace(task, report=monitor.watching(task.model, task.report))
            with (
                untouched({"original": original}, "the unlearner"),
                isolated(trial.seeds.unlearn, "unlearn", "layers", *request.path),
                measured_cost(trial.device) as cost,
            ):
                model = trial.unlearner(task)
            compute_costs.append(cost)
            request.report_accuracy(model, trial, report)
    require_effect(trial.unlearner, original, model)
    costs = {**reported.last, **account.costs(compute_costs, steps.count, trial.data.indices)}
    costs["requests"] = float(len(requests))
    if monitor is not None:  # it runs inside the method's reports, hence inside its measured time
        costs["unlearn_seconds"] -= monitor.seconds
    change = relative_change(original, model)
    return model, costs if change is None else {**costs, "relative_weight_change": change}


@dataclass
class _LastReported:
    """A report that passes on what it gets, and remembers the last value of each name."""

    report: Report
    last: dict[str, float] = field(default_factory=dict)

    def __call__(self, step: int, of: int, **values: float) -> None:
        self.last.update({f"reported/{name}": value for name, value in values.items()})
        self.report(step, of, **values)


def _task(
    trial: Trial, account: "_Account", model: nn.Module, request: ForgetRequest, report: Report
) -> UnlearningTask:
    return UnlearningTask(
        model=copy.deepcopy(model),
        forget=request.forget,
        retain=request.retain,
        val=View(account.audited, trial.data.indices.val),
        task_type=trial.data.pool.task_type,
        num_classes=trial.data.pool.num_classes,
        generator=stream(trial.seeds.unlearn, "unlearn", *request.path),
        fresh=trial.fresh,
        train=account.train,
        report=report,
        cached=partial(account.cached, model_fingerprint(model)),
    )


@dataclass
class _Account:
    """Answers requests from the stores and keeps account of what they would have cost.

    A method must cost the same whether the models and tensors it asks for are in the store or not.
    So the measured time and steps are corrected by ``seconds`` and ``steps``: what the training
    took, whenever that was, minus what getting it took just now. Both may be negative.

    Args:
        audited: The data, with a tally of reads.
        get_or_train: Answers requests for models.
        cache: Answers requests for tensors.
        device: Where tensors go.
        seconds: Correction of the measured time.
        steps: Correction of the counted optimizer steps.
        trained_reads: Reads of samples by training that was requested.
        read_back: Whether anything was in the stores; then memory and energy are unknown.
    """

    audited: AuditedPool
    get_or_train: GetOrTrain
    cache: TensorCache
    device: torch.device
    seconds: float = 0.0
    steps: int = 0
    trained_reads: int = 0
    read_back: bool = False

    def costs(
        self, compute_costs: Sequence[ComputeCost], steps: int, indices: SplitIndices
    ) -> dict[str, float]:
        """Return what the method cost, as if all had been computed here and now."""
        seconds = sum(cost.seconds for cost in compute_costs) + self.seconds
        costs = {
            "unlearn_seconds": seconds,
            "optimizer_steps": float(steps + self.steps),
            "forget_passes": self.audited.passes(indices.forget),
            "retain_passes": self.audited.passes(indices.retain),
            "val_passes": self.audited.passes(indices.val),
            "sample_reads": float(self.audited.reads.sum().item() - self.trained_reads),
            "trained_reads": float(self.trained_reads),
        }
        # what was not computed here took memory and energy elsewhere: unknown, hence absent
        return costs if self.read_back else costs | _resources(compute_costs)

    def train(self, view: View) -> nn.Module:
        begun = time.perf_counter()
        # unaudited: the reads are added below, alike for a model from the store
        with counted_steps() as steps_now:
            model, trained = self.get_or_train(View(unaudited(view.pool), view.index, view.labels))
        self.seconds += trained.seconds - (time.perf_counter() - begun)
        self.steps += trained.steps - steps_now.count
        self.read_back = self.read_back or not trained.fresh
        epochs = torch.full_like(view.index, len(trained.curve))
        self.audited.reads.index_add_(0, view.index, epochs)
        self.trained_reads += int(epochs.sum().item())
        return model

    def cached(
        self,
        model: str,
        name: str,
        view: View,
        compute: Callable[[], Mapping[str, Tensor]],
        **settings: Any,
    ) -> Mapping[str, Tensor]:
        begun = time.perf_counter()
        causes = {"name": name, "settings": settings, "model": model}
        causes["code"] = [source_hash(compute), pool_code(view.pool)]
        labels = tensor_fingerprint(view.targets)
        data = [view.pool.fingerprint, tensor_fingerprint(view.index), labels]
        key = fingerprint({**causes, "data": data, "version": RESULTS_VERSION})
        tensors, seconds, is_fresh = self.cache.get(key, self.device, compute)
        self.seconds += seconds - (time.perf_counter() - begun)
        self.read_back = self.read_back or not is_fresh
        if not is_fresh:  # a pass that need not be made again still counts as one
            self.audited.reads.index_add_(0, view.index, torch.ones_like(view.index))
        return tensors


def _resources(costs: Sequence[ComputeCost]) -> dict[str, float]:
    resources = {
        "cpu_seconds": sum(cost.cpu_seconds for cost in costs),
        "peak_memory_bytes": float(max(cost.peak_bytes for cost in costs)),
    }
    # over requests time and energy add up, peaks of memory do not
    reserved = [cost.reserved_bytes for cost in costs if cost.reserved_bytes is not None]
    joules = [cost.joules for cost in costs if cost.joules is not None]
    if reserved:
        resources["reserved_memory_bytes"] = float(max(reserved))
    return {**resources, "energy_joules": sum(joules)} if joules else resources
