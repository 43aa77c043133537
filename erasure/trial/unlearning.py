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
from erasure.core.splits import View
from erasure.core.task import Report, UnlearningTask
from erasure.data.pools.through import AuditedPool, unaudited
from erasure.training.compute import ComputeCost, measured_cost, warm_up
from erasure.training.model_store import Trained
from erasure.training.tensor_cache import TensorCache
from erasure.trial.causes import pool_code
from erasure.trial.guards import relative_change, require_effect, untouched
from erasure.trial.monitor import Monitor
from erasure.trial.requests import ForgetRequest, requested
from erasure.trial.steps import counted_steps
from erasure.trial.trial import Trial

Obtain = Callable[[View], tuple[nn.Module, Trained]]


def unlearn(
    parts: Trial,
    original: nn.Module,
    obtain: Obtain,
    cache: TensorCache,
    report: Report,
    monitor: Monitor | None = None,
) -> tuple[nn.Module, dict[str, float]]:
    """Run the method on a copy of ``original`` and return its model with facts about the run.

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
    audited = AuditedPool.watch(parts.pool)
    account = _Account(audited, obtain, cache, parts.device)
    requests = requested(parts.indices, audited, parts.remaining)
    model, costs = original, list[ComputeCost]()
    notes = _Notes(report)
    warm_up(parts.device)
    with counted_steps() as steps:
        for request in requests:
            task = _task(parts, account, model, request, request.reported(notes))
            if monitor is not None:
                task = replace(task, report=monitor.watching(task.model, task.report))
            with (
                untouched({"original": original}, "the unlearner"),
                isolated(parts.seeds.unlearn, "unlearn", "layers", *request.path),
                measured_cost(parts.device) as cost,
            ):
                model = parts.unlearner(task)
            costs.append(cost)
            request.note(model, parts, report)
    require_effect(parts.unlearner, original, model)
    judged = monitor.seconds if monitor is not None else 0.0
    facts = {
        **notes.last,
        "unlearn_seconds": sum(cost.seconds for cost in costs) + account.seconds - judged,
        "optimizer_steps": float(steps.count + account.steps),
        "forget_passes": audited.passes(parts.indices.forget),
        "retain_passes": audited.passes(parts.indices.retain),
        "val_passes": audited.passes(parts.indices.val),
        "sample_reads": float(audited.reads.sum().item() - account.trained_reads),
        "trained_reads": float(account.trained_reads),
        "requests": float(len(requests)),
    }
    if not account.read_back:  # what was not computed here took memory and energy elsewhere
        facts.update(_resources(costs))
    change = relative_change(original, model)
    return model, facts if change is None else {**facts, "relative_weight_change": change}


def _resources(costs: Sequence[ComputeCost]) -> dict[str, float]:
    found = {
        "cpu_seconds": sum(cost.cpu_seconds for cost in costs),
        "peak_memory_bytes": float(max(cost.peak_bytes for cost in costs)),
    }
    reserved = [cost.reserved_bytes for cost in costs if cost.reserved_bytes is not None]
    joules = [cost.joules for cost in costs if cost.joules is not None]
    if reserved:
        found["reserved_memory_bytes"] = float(max(reserved))
    return {**found, "energy_joules": sum(joules)} if joules else found


@dataclass
class _Notes:
    """A report that passes on what it gets, and remembers the last value of each name."""

    report: Report
    last: dict[str, float] = field(default_factory=dict)

    def __call__(self, step: int, of: int, **values: float) -> None:
        self.last.update({f"reported/{name}": value for name, value in values.items()})
        self.report(step, of, **values)


def _task(
    parts: Trial, account: "_Account", model: nn.Module, request: ForgetRequest, report: Report
) -> UnlearningTask:
    return UnlearningTask(
        model=copy.deepcopy(model),
        forget=request.forget,
        retain=request.retain,
        val=View(account.audited, parts.indices.val),
        task_type=parts.pool.task_type,
        num_classes=parts.pool.num_classes,
        generator=stream(parts.seeds.unlearn, "unlearn", *request.path),
        fresh=parts.fresh,
        train=account.train,
        report=report,
        cached=partial(account.cached, model_fingerprint(model)),
    )


@dataclass
class _Account:
    """Answers requests from the stores and keeps account of what they would have cost."""

    audited: AuditedPool
    obtain: Obtain
    cache: TensorCache
    device: torch.device
    seconds: float = 0.0
    steps: int = 0
    trained_reads: int = 0
    read_back: bool = False

    def train(self, view: View) -> nn.Module:
        begun = time.perf_counter()
        with counted_steps() as inside:
            model, trained = self.obtain(View(unaudited(view.pool), view.index, view.labels))
        self.seconds += trained.seconds - (time.perf_counter() - begun)
        self.steps += trained.steps - inside.count
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
        tensors, seconds, here = self.cache.get(key, self.device, compute)
        self.seconds += seconds - (time.perf_counter() - begun)
        self.read_back = self.read_back or not here
        if not here:  # a pass that need not be made again still counts as one
            self.audited.reads.index_add_(0, view.index, torch.ones_like(view.index))
        return tensors
