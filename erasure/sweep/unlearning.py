"""The stage in which a method runs, with its cost measured."""

import copy
import functools
import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
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
from erasure.core.splits import DataSplits, View
from erasure.core.task import Report, UnlearningTask
from erasure.data.pools import AuditedPool
from erasure.sweep.guards import relative_change, require_effect, untouched
from erasure.sweep.parts import Parts
from erasure.sweep.steps import counted_steps
from erasure.training.checksum import file_checksum
from erasure.training.compute import measured_cost, warm_up
from erasure.training.store import Trained
from erasure.training.tensor_cache import TensorCache

Obtain = Callable[[View], tuple[nn.Module, Trained]]


def unlearn(
    parts: Parts, original: nn.Module, obtain: Obtain, cache: TensorCache, report: Report
) -> tuple[nn.Module, dict[str, float]]:
    """Run the method on a copy of ``original`` and return its model with facts about the run.

    The time of models that come through the store is the time of their training, whenever that
    was, instead of the time spent on the store; their passes and steps are accounted likewise.

    Raises:
        DivergedError: If a weight is not finite.
        NoOpError: If nothing changed, unless the method is ``identity``.
        ErasureError: If the method changed the original itself.
    """
    audited = AuditedPool.watch(parts.pool)
    views = DataSplits.of(audited, parts.indices)
    account = _Account(audited, obtain, cache, model_fingerprint(original), parts.device)
    task = UnlearningTask(
        model=copy.deepcopy(original),
        forget=views.forget,
        retain=views.retain,
        val=views.val,
        kind=parts.pool.task,
        num_classes=parts.pool.num_classes,
        generator=stream(parts.seeds.unlearn, "unlearn"),
        fresh=parts.fresh,
        train=account.train,
        report=report,
        cached=account.cached,
    )
    warm_up(parts.device)
    with (
        untouched({"original": original}, "the unlearner"),
        isolated(parts.seeds.unlearn, "unlearn", "layers"),
        counted_steps() as steps,
        measured_cost(parts.device) as cost,
    ):
        unlearned = parts.unlearner(task)
    require_effect(parts.unlearner, original, unlearned)
    facts = {
        "unlearn_seconds": cost.seconds + account.seconds,
        "optimizer_steps": float(steps.count + account.steps),
        "forget_passes": audited.passes(views.forget.index),
        "retain_passes": audited.passes(views.retain.index),
        "val_passes": audited.passes(views.val.index),
    }
    if not account.read_back:  # what was not computed here took memory elsewhere
        facts["peak_memory_bytes"] = float(cost.peak_bytes)
    change = relative_change(original, unlearned)
    return unlearned, facts if change is None else {**facts, "relative_weight_change": change}


@dataclass
class _Account:
    """Answers requests from the stores and keeps account of what they would have cost."""

    audited: AuditedPool
    obtain: Obtain
    cache: TensorCache
    original: str
    device: torch.device
    seconds: float = 0.0
    steps: int = 0
    read_back: bool = False

    def train(self, view: View) -> nn.Module:
        begun = time.perf_counter()
        with counted_steps() as inside:
            model, trained = self.obtain(View(self.audited.pool, view.index, view.labels))
        self.seconds += trained.seconds - (time.perf_counter() - begun)
        self.steps += trained.steps - inside.count
        self.read_back = self.read_back or not trained.fresh
        epochs = torch.full_like(view.index, len(trained.curve))
        self.audited.reads.index_add_(0, view.index, epochs)
        return model

    def cached(
        self, name: str, view: View, compute: Callable[[], Mapping[str, Tensor]], **settings: Any
    ) -> Mapping[str, Tensor]:
        begun = time.perf_counter()
        causes = {"name": name, "settings": settings, "model": self.original}
        causes["source"] = _source(compute)
        labels = tensor_fingerprint(view.targets)
        data = [view.pool.fingerprint, tensor_fingerprint(view.index), labels]
        key = fingerprint({**causes, "data": data, "version": RESULTS_VERSION})
        tensors, seconds, here = self.cache.get(key, self.device, compute)
        self.seconds += seconds - (time.perf_counter() - begun)
        self.read_back = self.read_back or not here
        if not here:  # a pass that need not be made again still counts as one
            self.audited.reads.index_add_(0, view.index, torch.ones_like(view.index))
        return tensors


def _source(compute: Callable[..., object]) -> str:
    """Return a hash of the file that defines ``compute``: edited code computes anew."""
    function = inspect.unwrap(compute)
    while isinstance(function, functools.partial):
        function = function.func
    return file_checksum(Path(str(inspect.getsourcefile(function))))
