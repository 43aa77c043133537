"""Running a method on given batches, without configuration or store, for parity checks."""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Generator, Tensor, nn

from erasure.core.splits import View
from erasure.core.task import UnlearningTask
from erasure.core.task_types import Multiclass, TaskType
from erasure.data.pools.samples import SamplePool
from erasure.testing.given_batches import Order, given_views

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
    orders: Mapping[str, Sequence[Order]] | None = None,
) -> UnlearningTask:
    """Return a task whose every pass visits exactly the given batches in the given order.

    So do parts of forget and retain, and both together: first the one, then the other. Batch
    sizes and shuffling of a method have no effect on it, so that the same batches can be fed to
    somebody else's code and the resulting weights compared one by one.

    Args:
        model: The original; the method works on this object.
        forget: Batches of the forget set.
        retain: Batches of the retain set.
        num_classes: Number of classes.
        val: Batches of the validation set, for methods that look at it.
        initial: A model with weights that never saw data, for methods that ask for those the
            original started from, or for others, such as an untrained teacher.
        kind: What the labels mean; several classes unless said otherwise.
        seed: Seed of the draws that are left: noise, random labels; see :func:`replayed_draws`.
        orders: Passes that differ from one another, by what is visited: ``forget``, ``retain``,
            ``val``, or ``joint`` for forget and retain in common batches. For each shuffled pass
            a list of batches, each a list of numbers of samples: 0 for the first sample of the
            part and so on; in ``joint`` those of forget come first. A pass that a method does not
            shuffle, such as a teacher's, visits the batches of ``forget`` and ``retain`` as they
            are.

    Raises:
        ValueError: If ``orders`` names no part, or a number is none of its samples. When a method
            makes more passes than there are orders, or asks for ``initial`` weights or for
            training from scratch, and this task has none.
    """
    inputs, targets = (torch.cat(column) for column in zip(*[*forget, *retain, *val], strict=True))
    names = tuple(str(number) for number in range(num_classes))
    task_type = kind or Multiclass()
    pool = SamplePool(inputs=inputs, targets=targets, class_names=names, task_type=task_type)
    parts = {"forget": forget, "retain": retain, "val": val}
    lengths = {name: [len(labels) for _, labels in part] for name, part in parts.items()}
    views = given_views(pool, lengths, orders or {})

    def fresh(salt: str = "") -> nn.Module:
        if initial is None:
            raise ValueError("this method asks for initial weights: pass initial=")
        return copy.deepcopy(initial) if salt else initial

    def train(view: View) -> nn.Module:
        raise ValueError(f"a fixed task trains nothing from scratch ({len(view)} samples asked)")

    return UnlearningTask(
        model=model,
        forget=views["forget"],
        retain=views["retain"],
        val=views["val"],
        task_type=pool.task_type,
        num_classes=num_classes,
        generator=Generator().manual_seed(seed),
        fresh=fresh,
        train=train,
    )


def split_joint(batches: Sequence[tuple[Tensor, Tensor, Tensor]]) -> tuple[Pairs, Pairs, Order]:
    """Return forget batches, retain batches and the joint order of batches that mix both.

    Args:
        batches: ``(inputs, targets, flags)`` of one pass, where flags ``(B,)`` are true for
            samples to forget.

    Returns:
        What :func:`fixed_task` takes as ``forget``, ``retain`` and one of ``orders["joint"]``.
    """
    flags = [flag.bool() for _, _, flag in batches]
    forget = [(x[f], y[f]) for (x, y, _), f in zip(batches, flags, strict=True) if f.any()]
    retain = [(x[~f], y[~f]) for (x, y, _), f in zip(batches, flags, strict=True) if not f.all()]
    flat = torch.cat(flags)
    # samples to forget have the first numbers, in the order in which they come
    numbers = torch.where(flat, flat.cumsum(0) - 1, flat.sum() + (~flat).cumsum(0) - 1)
    return forget, retain, [part.tolist() for part in numbers.split([len(f) for f in flags])]
