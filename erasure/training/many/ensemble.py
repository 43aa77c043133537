"""Training many models of one recipe at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from erasure.core.errors import DivergedError, UnsupportedError
from erasure.core.pool import Batch
from erasure.core.protocols import Trainer
from erasure.core.splits import View, bounds
from erasure.core.task import Report, silent
from erasure.training.many.stacked import Stacked, traced
from erasure.training.model_store import Training
from erasure.training.passes import Pass
from erasure.training.trainers import Standard

SMALL_IMAGE = 16
"""Largest side in pixels up to which grouped convolutions are faster on a CPU (measured)."""

ELEMENTWISE = (
    "SGD",
    "Adam",
    "AdamW",
    "RMSprop",
    "Adagrad",
    "Adadelta",
    "NAdam",
    "RAdam",
    "Adamax",
)
"""Optimizers of torch whose step for one number does not depend on the others."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One of the models to train together.

    Args:
        model: With its fresh weights.
        view: Its training samples; all members have the same number of them.
        generator: Order of its batches.
    """

    model: nn.Module
    view: View
    generator: Generator


def train_together(
    members: Sequence[Member], trainer: Standard, report: Report = silent
) -> list[Training]:
    """Train all ``members`` by the recipe of ``trainer`` and return them in order.

    Every member starts from its own weights and visits its own samples in its own order, the one
    it would visit alone. The weights agree with those of training alone up to the rounding of
    batched products and grouped convolutions.

    Raises:
        UnsupportedError: If the members cannot be stacked; :func:`obstacle` says so before.
        DivergedError: If the mean loss of a member is not finite.
    """
    reason = obstacle(members[0].model, trainer)
    if reason:
        raise UnsupportedError(f"these models cannot be trained together: {reason}")
    if len({len(member.view) for member in members}) > 1:
        raise ValueError("all members need training sets of one size")
    stacked = Stacked([member.model for member in members])
    kind = members[0].view.pool.task_type
    fit, count = trainer.fit, len(members)
    totals = torch.zeros(count, device=members[0].view.index.device)

    def objective(model: nn.Module, batch: Batch) -> Tensor:
        losses = kind.loss(model(batch.inputs).flatten(0, 1), batch.targets.flatten(0, 1))
        means = losses.view(count, -1).mean(dim=1)
        # the gradient of a sum of means is, for each member, that of its own mean alone
        totals.add_(means.detach())
        return means.sum()

    batches = side_by_side(members, fit.batch_size, augment=fit.augment)
    steps = batches.steps
    curves: list[list[float]] = []

    def noted(step: int, of: int, **values: float) -> None:
        curves.append((totals / max(steps, 1)).tolist())
        totals.zero_()
        # The objective is the sum of the members' means.
        report(step, of, loss=values["loss"] / count)

    fit(stacked, batches, objective, report=noted)
    return [
        _finished(stacked, member, number, curves, steps) for number, member in enumerate(members)
    ]


def side_by_side(members: Sequence[Member], size: int, *, augment: bool) -> Pass[Batch]:
    """Visit the samples of all members at once, each in the order it would visit them alone.

    Inputs of a batch are ``(K, B, ...)``, targets and ids ``(K, B)``.
    """
    first = members[0].view
    augment = augment and first.pool.augments
    index = torch.stack([member.view.index for member in members])
    labels = torch.stack([member.view.targets for member in members])
    # Cuts and draws are those of View.batches: a member alone would see the same batches.
    cuts = bounds(len(first), size, merge_tail=True)

    def start() -> Iterator[Batch]:
        draws = [torch.randperm(len(first), generator=m.generator) for m in members]
        order = torch.stack(draws).to(index.device)
        ids = index.gather(1, order)
        targets = torch.stack([rows[chosen] for rows, chosen in zip(labels, order, strict=True)])
        for begin, end in cuts:
            chosen = ids[:, begin:end]
            yield Batch(fetched(chosen), targets[:, begin:end], chosen)

    def fetched(chosen: Tensor) -> Tensor:
        if not augment:
            together: Tensor = first.pool.fetch(chosen.flatten())
            return together.view(*chosen.shape, *together.shape[1:])
        # each member draws its augmentation from its own generator, as it would alone
        inputs = [
            m.view.pool.fetch(i, augment=m.generator) for m, i in zip(members, chosen, strict=True)
        ]
        return torch.stack(inputs)

    return Pass(len(cuts), start)


def obstacle(model: nn.Module, trainer: Trainer) -> str:
    """Return why models like ``model`` cannot be trained together by ``trainer``, or nothing."""
    if not isinstance(trainer, Standard):
        return f"{type(trainer).__name__} is not the standard trainer"
    if trainer.fit.clip is not None:
        return "gradients are clipped by the norm of a whole model (trainer.fit.clip)"
    optimizer = trainer.fit.optimizer([nn.Parameter(torch.zeros(1))])
    if type(optimizer).__name__ not in ELEMENTWISE:
        return f"{type(optimizer).__name__} may mix the parameters of different models"
    if trainer.fit.mode == "frozen_norm":
        return "trainer.fit.mode is frozen_norm"
    try:
        traced(model)
    except UnsupportedError as error:
        return str(error)
    return ""


def pays_off(model: nn.Module, input_shape: Sequence[int], device: torch.device) -> bool:
    """Tell whether training together is faster than one after the other.

    It is for dense networks everywhere and for convolutions on a GPU; on a CPU grouped
    convolutions are slower for images larger than some 16 pixels.
    """
    convolves = any(isinstance(module, nn.Conv2d) for module in model.modules())
    return device.type != "cpu" or not convolves or max(input_shape[1:]) <= SMALL_IMAGE


def _finished(
    stacked: Stacked, member: Member, number: int, curves: Sequence[Sequence[float]], steps: int
) -> Training:
    curve = [losses[number] for losses in curves]
    if not torch.tensor(curve).isfinite().all():
        raise DivergedError(f"the training loss of model {number} of the pool is not finite")
    member.model.load_state_dict(stacked.state_of(number))
    return Training(model=member.model, curve=curve, steps=steps * len(curve))
