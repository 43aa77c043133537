"""Logits of frozen teachers: computed once per sample, unless augmentation changes the sample."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from erasure.core.context import evaluating
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


def taught_logits(
    task: UnlearningTask, lessons: Sequence[TeacherTarget], *, augment: bool
) -> Callable[[Batch], Tensor]:
    """Return a function from a batch to the logits ``(B, C)`` of the teachers in charge.

    Without augmentation they are looked up: each teacher makes one pass over its view, in eval
    mode, and none in the next trial that asks for the same. With augmentation a teacher has to
    see what its student sees, and runs on every batch.

    Args:
        task: The request; its cache remembers.
        lessons: Who teaches which samples; no sample may have two teachers.
        augment: Whether batches will be augmented, where the pool has an augmentation.
    """
    pool = task.forget.pool
    lessons = [lesson for lesson in lessons if len(lesson.view) > 0]
    who = torch.zeros(len(pool.targets), dtype=torch.int64, device=pool.targets.device)
    for number, lesson in enumerate(lessons):
        who[lesson.view.index] = number
    if augment and pool.augments:
        return _seen(lessons, who)
    row = torch.zeros_like(who)
    start = 0
    for lesson in lessons:
        row[lesson.view.index] = torch.arange(start, start + len(lesson.view), device=row.device)
        start += len(lesson.view)
    table = torch.cat([_remembered(task, lesson) for lesson in lessons] or [torch.empty(0)])
    return lambda batch: table[row[batch.ids]]


def _seen(lessons: Sequence[TeacherTarget], who: Tensor) -> Callable[[Batch], Tensor]:
    def logits(batch: Batch) -> Tensor:
        with torch.no_grad():
            every = {id(t): t(batch.inputs) for t in {id(x[0]): x[0] for x in lessons}.values()}
        stacked = torch.stack([every[id(lesson.teacher)] for lesson in lessons])
        chosen: Tensor = stacked[who[batch.ids], torch.arange(len(batch.ids), device=who.device)]
        return chosen

    return logits


def _remembered(task: UnlearningTask, lesson: TeacherTarget) -> Tensor:
    def compute() -> Mapping[str, Tensor]:
        with evaluating(lesson.teacher), torch.no_grad():
            logits = [lesson.teacher(batch.inputs) for batch in lesson.view.batches(1024)]
        return {"logits": torch.cat(logits)}

    return task.cached("logits", lesson.view, compute, teacher=lesson.name)["logits"]
