"""Running a method on given batches, without configuration or store, for parity checks."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor, nn

from erasure.core.columns import Column
from erasure.core.fingerprint import tensor_fingerprint
from erasure.core.pool import Batch
from erasure.core.splits import View
from erasure.core.task import UnlearningTask
from erasure.core.task_types import Multiclass, TaskType

Pairs = Sequence[tuple[Tensor, Tensor]]
"""Batches ``(inputs, targets)`` in the order in which they are to be visited."""


def fixed_task(
    model: nn.Module,
    forget: Pairs,
    retain: Pairs,
    *,
    num_classes: int,
    val: Pairs = (),
    initial: nn.Module | None = None,
    kind: TaskType | None = None,
    seed: int = 0,
) -> UnlearningTask:
    """Return a task whose every pass visits exactly the given batches in the given order.

    Batch sizes and shuffling of a method have no effect on it, so that the same batches can be
    fed to somebody else's code and the resulting weights compared one by one.

    Args:
        model: The original; the method works on this object.
        forget: Batches of the forget set.
        retain: Batches of the retain set.
        num_classes: Number of classes.
        val: Batches of the validation set, for methods that look at it.
        initial: A model with weights that never saw data, for methods that ask for those the
            original started from, or for others, such as an untrained teacher.
        kind: What the labels mean; several classes unless said otherwise.
        seed: Seed of the draws that are left: noise, random labels.

    Raises:
        ValueError: When a method asks for ``initial`` weights, or for training from scratch, and
            this task has none.
    """
    pool = _FixedPool.of([*forget, *retain, *val], num_classes, kind or Multiclass())
    sizes = [sum(len(targets) for _, targets in part) for part in (forget, retain, val)]
    bounds = [0, sizes[0], sizes[0] + sizes[1], sum(sizes)]
    views = [
        _FixedView(pool, torch.arange(start, stop), lengths=tuple(len(t) for _, t in part))
        # bounds has one more than there are parts
        for start, stop, part in zip(bounds, bounds[1:], (forget, retain, val), strict=False)
    ]

    def fresh(salt: str = "") -> nn.Module:
        if initial is None:
            raise ValueError("this method asks for initial weights: pass initial=")
        return copy.deepcopy(initial) if salt else initial

    def train(view: View) -> nn.Module:
        raise ValueError(f"a fixed task trains nothing from scratch ({len(view)} samples asked)")

    return UnlearningTask(
        model=model,
        forget=views[0],
        retain=views[1],
        val=views[2],
        task_type=pool.task_type,
        num_classes=num_classes,
        generator=Generator().manual_seed(seed),
        fresh=fresh,
        train=train,
    )


@dataclass(frozen=True)
class _FixedView(View):
    """A view that is visited in batches of its own, whatever size and order are asked for."""

    lengths: tuple[int, ...] = ()

    def batches(
        self, size: int, *, generator: Generator | None = None, augment: bool = False
    ) -> Iterator[Batch]:
        del size, generator, augment  # what makes this view fixed
        for ids, targets in zip(
            self.index.split(list(self.lengths)),
            self.targets.split(list(self.lengths)),
            strict=True,
        ):
            yield Batch(self.pool.fetch(ids), targets, ids)

    def num_batches(self, size: int) -> int:
        del size
        return len(self.lengths)


@dataclass(frozen=True)
class _FixedPool:
    inputs: Tensor
    targets: Tensor
    num_classes: int
    task_type: TaskType
    attributes: Mapping[str, Column] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)
    official: Tensor | None = None

    @classmethod
    def of(cls, batches: Pairs, num_classes: int, kind: TaskType) -> "_FixedPool":
        inputs, targets = (torch.cat(column) for column in zip(*batches, strict=True))
        return cls(inputs, targets, num_classes, kind)

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(str(number) for number in range(self.num_classes))

    @property
    def augments(self) -> bool:
        return False

    @property
    def input_shape(self) -> tuple[int, ...]:
        return tuple(self.inputs.shape[1:])

    @property
    def fingerprint(self) -> str:
        return tensor_fingerprint(self.inputs, self.targets)

    def fetch(self, index: Tensor, *, augment: Generator | None = None) -> Tensor:
        del augment  # the batches are as they were given
        return self.inputs[index]

    def stream(
        self, batches: Sequence[Tensor], *, augment: Generator | None = None
    ) -> Iterator[Tensor]:
        return (self.fetch(index, augment=augment) for index in batches)

    def digests(self, index: Tensor) -> Tensor:
        return index

    def sketch(self, index: Tensor) -> Tensor:
        return self.inputs[index].flatten(1)
