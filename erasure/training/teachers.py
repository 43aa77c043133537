"""Logits of frozen teachers: computed once per sample, unless augmentation changes the sample."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from erasure.core.modes import evaluating
from erasure.core.pool import Batch
from erasure.core.splits import View
from erasure.core.task import UnlearningTask


class TeacherTarget(NamedTuple):
    """A teacher in charge of some samples.

    ``name`` tells what its weights are: ``original``, or how else they were made. It is part of
    the key under which its logits are remembered.
    """

    teacher: nn.Module
    view: View
    name: str


def teacher_logits(
    task: UnlearningTask, targets: Sequence[TeacherTarget], *, augment: bool
) -> Callable[[Batch], Tensor]:
    """Return a function from a batch to the logits ``(B, C)`` of the teachers in charge.

    Without augmentation they are looked up: each teacher makes one pass over its view, in eval
    mode, and none in the next trial that asks for the same. With augmentation a teacher has to
    see what its student sees, and runs on every batch.

    Args:
        task: The request; its cache remembers.
        targets: Who teaches which samples; no sample may have two teachers.
        augment: Whether batches will be augmented, where the pool has an augmentation.
    """
    pool = task.forget.pool
    targets = [target for target in targets if len(target.view) > 0]
    # By sample id: which of `targets` is in charge. Samples of nobody keep 0, and nobody asks.
    in_charge = torch.zeros(len(pool.targets), dtype=torch.int64, device=pool.targets.device)
    for number, target in enumerate(targets):
        in_charge[target.view.index] = number
    if augment and pool.augments:
        return _on_every_batch(targets, in_charge)
    # By sample id: its row in one table of the logits of all views, one after the other.
    row = torch.zeros_like(in_charge)
    start = 0
    for target in targets:
        row[target.view.index] = torch.arange(start, start + len(target.view), device=row.device)
        start += len(target.view)
    table = torch.cat([_remembered(task, target) for target in targets] or [torch.empty(0)])
    return lambda batch: table[row[batch.ids]]


def _on_every_batch(
    targets: Sequence[TeacherTarget], in_charge: Tensor
) -> Callable[[Batch], Tensor]:
    # One teacher may be in charge of several views; it runs once per batch all the same.
    teachers = {id(target.teacher): target.teacher for target in targets}

    def logits(batch: Batch) -> Tensor:
        with torch.no_grad():
            outputs = {key: teacher(batch.inputs) for key, teacher in teachers.items()}
        stacked = torch.stack([outputs[id(target.teacher)] for target in targets])
        rows = torch.arange(len(batch.ids), device=in_charge.device)
        chosen: Tensor = stacked[in_charge[batch.ids], rows]
        return chosen

    return logits


def _remembered(task: UnlearningTask, target: TeacherTarget) -> Tensor:
    def compute() -> Mapping[str, Tensor]:
        with evaluating(target.teacher), torch.no_grad():
            logits = [target.teacher(batch.inputs) for batch in target.view.batches(1024)]
        return {"logits": torch.cat(logits)}

    return task.cached("logits", target.view, compute, teacher=target.name)["logits"]
