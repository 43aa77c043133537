"""The stage in which a method runs: clocked, watched, and checked for having done its job."""

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from erasure.core.errors import DivergedError, ErasureError, NoOpError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import isolated, stream
from erasure.core.splits import DataSplits, View
from erasure.core.task import Report, UnlearningTask
from erasure.data.pools import AuditedPool
from erasure.sweep.parts import Parts
from erasure.training.compute import measured_cost, warm_up
from erasure.training.store import Trained
from erasure.unlearners.identity import Identity

Obtain = Callable[[View], tuple[nn.Module, Trained]]


@dataclass
class Steps:
    """A number of optimizer steps, still counting."""

    count: int = 0


def unlearn(
    parts: Parts, original: nn.Module, obtain: Obtain, report: Report
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
    account = _Account(audited, obtain)
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
    )
    before = model_fingerprint(original)
    warm_up(parts.device)
    with (
        isolated(parts.seeds.unlearn, "unlearn", "layers"),
        counted_steps() as steps,
        measured_cost(parts.device) as cost,
    ):
        unlearned = parts.unlearner(task)
    _guard(parts, original, before, unlearned)
    facts = {
        "unlearn_seconds": cost.seconds + account.seconds,
        "peak_memory_bytes": float(cost.peak_bytes),
        "optimizer_steps": float(steps.count + account.steps),
        "forget_passes": audited.passes(views.forget.index),
        "retain_passes": audited.passes(views.retain.index),
        "val_passes": audited.passes(views.val.index),
    }
    change = relative_change(original, unlearned)
    return unlearned, facts if change is None else {**facts, "relative_weight_change": change}


@contextmanager
def counted_steps() -> Iterator[Steps]:
    """Count the steps of every optimizer in a block, whoever built it."""
    steps = Steps()

    def count(_: Optimizer, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        del args, kwargs  # the hook's signature has them
        steps.count += 1

    hook = register_optimizer_step_post_hook(count)
    try:
        yield steps
    finally:
        hook.remove()


def relative_change(before: nn.Module, after: nn.Module) -> float | None:
    """Return the L2 distance of the parameters over the norm of the first, or None.

    There is none when the models have different parameters.
    """
    old, new = dict(before.named_parameters()), dict(after.named_parameters())
    if {n: p.shape for n, p in old.items()} != {n: p.shape for n, p in new.items()}:
        return None
    moved = sum(_squared(new[name].detach() - old[name].detach()) for name in old)
    size = sum(_squared(weight.detach()) for weight in old.values())
    return math.sqrt(moved / size)


def _squared(values: Tensor) -> float:
    return float(values.double().square().sum())


@dataclass
class _Account:
    """Trains through the store and keeps account of what a stored model would have cost."""

    audited: AuditedPool
    obtain: Obtain
    seconds: float = 0.0
    steps: int = 0

    def train(self, view: View) -> nn.Module:
        begun = time.perf_counter()
        with counted_steps() as inside:
            model, trained = self.obtain(View(self.audited.pool, view.index, view.labels))
        self.seconds += trained.seconds - (time.perf_counter() - begun)
        self.steps += trained.steps - inside.count
        self.audited.reads.index_add_(
            0, view.index, torch.full_like(view.index, len(trained.curve))
        )
        return model


def _guard(parts: Parts, original: nn.Module, before: str, unlearned: nn.Module) -> None:
    if model_fingerprint(original) != before:
        raise ErasureError("the unlearner changed the original model, which it must not touch")
    for name, value in unlearned.state_dict().items():
        if not value.isfinite().all():
            raise DivergedError(f"{name} of the unlearned model is not finite")
    unchanged = model_fingerprint(unlearned) == before
    if unchanged and not isinstance(parts.unlearner, Identity):
        raise NoOpError(
            "the unlearner returned the original model unchanged: the learning rate may be 0, "
            "the number of epochs 0, or nothing was selected; unlearner=identity does this on "
            "purpose"
        )
